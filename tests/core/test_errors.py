from __future__ import annotations

import re

import pytest

from app.core import errors
from app.core.errors import GatewayError

DRAWN = {name: (int(status), kind) for name, status, kind in re.findall(r"── (\w+) +(\d+) (\w+)", errors.__doc__ or "")}


def test_tree() -> None:
    """The tree that the module draws is the tree there is."""
    assert DRAWN == {each.__name__: (each.status, each.type) for each in GatewayError.__subclasses__()}


@pytest.mark.parametrize("kind", GatewayError.__subclasses__(), ids=lambda kind: kind.__name__)
def test_defaults(kind: type[GatewayError]) -> None:
    """An error of a kind has the kind's status and code, is not to be retried, and an instance may say otherwise."""
    plain, other = kind("m"), kind("m", status=499, code="c", should_retry=True)

    assert (kind.status, kind.code, False, "m") == (plain.status, plain.code, plain.should_retry, str(plain))
    assert (499, "c", True) == (other.status, other.code, other.should_retry)
