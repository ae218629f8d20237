from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from app import web
from app.core import openapi as described
from app.factory import MOUNTS
from app.web import auth
from app.web.openapi import operations
from app.web.told import told_of
from tests.gateway import Gateway


@pytest.fixture
def document(gateway: Gateway) -> dict[str, Any]:
    """The document as programs get it."""
    told: dict[str, Any] = gateway.request("GET", "/openapi.json").json()
    return told


def _described(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


def _routes(gateway: Gateway) -> dict[tuple[str, str], str]:
    """Each method and address of the application, with its view."""
    return {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)): auth.view_of(rule.endpoint)
        for rule in gateway.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def test_document(document: dict[str, Any]) -> None:
    """It is OpenAPI 3.1 by the specification's own schema, and all its references lead somewhere."""
    validate(document)

    assert document["openapi"].startswith("3.1")


def test_routes(gateway: Gateway, document: dict[str, Any]) -> None:
    """Every route of the application is in it, and it has none that is not."""
    assert set(_routes(gateway)) == set(_described(document))


def test_scopes(gateway: Gateway, document: dict[str, Any]) -> None:
    """Each route asks for a token as the table of scopes says, and the table has no other."""
    views = _routes(gateway)
    told = {views[route]: (*one["tags"], bool(one["security"])) for route, one in _described(document).items()}

    assert {view: (scope or "open", scope != auth.OPEN) for view, scope in auth.SCOPE_OF.items()} == told


def test_names(document: dict[str, Any]) -> None:
    """Every operation has a name of its own, and says in a sentence what it is for."""
    names = [operation["operationId"] for operation in _described(document).values()]

    assert len(names) == len(set(names))
    assert all(operation["summary"] for operation in _described(document).values())


def test_variables(gateway: Gateway) -> None:
    """What an address leaves open is described, under the name that the route has for it."""
    for rule in gateway.app.url_map.iter_rules():
        told = told_of(gateway.app, rule.endpoint)
        assert told is not None, rule.endpoint
        assert set(rule.arguments) == {parameter.name for parameter in told.path}, rule.rule


def test_statuses(gateway: Gateway) -> None:
    """What comes of a bad host, no token, no scope, a bad body and a full quota is described wherever it can come."""
    for operation in operations(gateway.app):
        told = described.failures(operation)
        assert {403, 421, 500} <= told
        assert not operation.scope or 401 in told
        assert (operation.method == "POST") <= ({400, 413, 415} <= told)
        assert operation.has_quota == (429 in told) or operation.told.asks


@pytest.mark.parametrize("mount", MOUNTS)
def test_below_an_address(gateway: Gateway, document: dict[str, Any], mount: str) -> None:
    """Below each address of the gateway the document tells the routes below that one only, in the same words."""
    told = gateway.request("GET", f"{mount}/openapi.json").json()

    validate(told)
    assert told["paths"] == {path: one for path, one in document["paths"].items() if path.startswith(f"{mount}/")}


def test_token(gateway: Gateway) -> None:
    """It is told to programs with a token only, and counts like a list of models."""
    assert 401 == gateway.request("GET", "/openapi.json", token=None).status_code
    assert "X-RateLimit-Remaining" in gateway.request("GET", "/openapi.json").headers


def test_undescribed_arguments() -> None:
    """No route reads an argument of the URL past its description: one place reads them for all."""
    sources = Path(web.__file__).parent.glob("*.py")

    assert ["told.py"] == [path.name for path in sources if "request.args" in path.read_text()]
