from __future__ import annotations

from collections.abc import Callable

import pytest
import requests

from app.sandbox import Sandbox
from tests.gateway import Gateway


def test_as_upstream(gateway: Gateway, sandbox: Sandbox) -> None:
    """Without a query the catalogue is byte for byte what OpenRouter sent."""
    headers = {"Accept-Encoding": "identity"}

    direct = requests.get(f"{sandbox.url}/models", headers=headers, timeout=10).content

    assert direct == gateway.get("/models", headers=headers).content


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ({"q": "GPT-4o"}, lambda model: "gpt-4o" in (model["id"] + model["name"]).lower()),
        ({"provider": "anthropic"}, lambda model: model["id"].startswith("anthropic/")),
        ({"modality": "image"}, lambda model: "image" in model["architecture"]["modality"]),
        ({"supported_parameters": "tools"}, lambda model: "tools" in model["supported_parameters"]),
        ({"max_price": "0"}, lambda model: float(model["pricing"]["prompt"]) == 0),
        ({"max_price": "0.5"}, lambda model: 0 <= float(model["pricing"]["completion"]) <= 0.5e-6),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_filters(gateway: Gateway, query: dict[str, str], holds: Callable[[dict], bool]) -> None:  # type: ignore[type-arg]
    """Each filter keeps the models it names and only those; a router's unknown price passes no price filter."""
    everything = gateway.get("/models").json()["data"]

    chosen = gateway.get("/models", params=query).json()["data"]

    assert 0 < len(chosen) < len(everything)
    assert all(holds(model) for model in chosen)
    assert not any("-1" == model["pricing"]["prompt"] for model in chosen if "max_price" in query)


@pytest.mark.parametrize(
    ("sort", "key"),
    [
        ("context", lambda model: -model["context_length"]),
        ("newest", lambda model: -model["created"]),
        ("price", lambda model: float(model["pricing"]["prompt"])),
    ],
)
def test_order(gateway: Gateway, sort: str, key: Callable[[dict], float]) -> None:  # type: ignore[type-arg]
    """Longest, newest or cheapest first; what has no known price stands last."""
    models = gateway.get("/models", params={"sort": sort}).json()["data"]

    known = [model for model in models if float(model["pricing"]["prompt"]) >= 0] if sort == "price" else models
    assert models[: len(known)] == known
    assert sorted(map(key, known)) == list(map(key, known))


@pytest.mark.parametrize("query", [{"sort": "beauty"}, {"max_price": "cheap"}, {"max_price": "-1"}])
def test_bad_query(gateway: Gateway, query: dict[str, str]) -> None:
    """A query that cannot be meant is a 400 that names the parameter."""
    reply = gateway.get("/models", params=query)

    assert (400, *query) == (reply.status_code, reply.json()["error"]["param"])


def test_foreign_parameters(gateway: Gateway) -> None:
    """Parameters that other programs send (limit, beta) change nothing."""
    assert gateway.get("/models").json() == gateway.get("/models", params={"limit": "1000", "beta": "true"}).json()


def test_not_modified(gateway: Gateway) -> None:
    """Who has the list already gets 304 and no body, compressed or not."""
    for encoding in ("identity", "gzip"):
        headers = {"Accept-Encoding": encoding}
        first = gateway.get("/models", headers=headers)
        again = gateway.get("/models", headers={**headers, "If-None-Match": first.headers["ETag"]})

        assert (200, 304) == (first.status_code, again.status_code)
        assert b"" == again.content
        assert first.headers["ETag"] == again.headers["ETag"]


def test_compressed(gateway: Gateway) -> None:
    """Who takes gzip gets it, and the same list under another tag."""
    plain = gateway.get("/models", headers={"Accept-Encoding": "identity"})
    packed = gateway.get("/models", headers={"Accept-Encoding": "gzip"})

    assert "gzip" == packed.headers["Content-Encoding"]
    assert "Content-Encoding" not in plain.headers
    assert int(packed.headers["Content-Length"]) < len(plain.content) / 4
    assert plain.json() == packed.json()
    assert plain.headers["ETag"] != packed.headers["ETag"]


def test_allowed_models(make_gateway: Callable[..., Gateway]) -> None:
    """OPENROUTER_MODELS shows only the models it names, and whole authors."""
    gateway = make_gateway(openrouter_models="openai/gpt-4o, mistralai/*")

    ids = [model["id"] for model in gateway.get("/models").json()["data"]]

    assert "openai/gpt-4o" in ids
    assert {"openai/gpt-4o"} == {name for name in ids if not name.startswith("mistralai/")}
    assert len(ids) > 3


def test_key_stays_at_home(gateway: Gateway, sandbox: Sandbox) -> None:
    """The public catalogue is asked for without the key."""
    gateway.get("/models")

    assert [None] == [entry["headers"].get("authorization") for entry in sandbox.log()]
