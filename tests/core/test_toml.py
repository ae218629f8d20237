from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.toml import dumps

_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
_VALUES = st.recursive(
    _TEXT | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(_TEXT, inner),
    max_leaves=10,
)


@given(st.dictionaries(_TEXT, _VALUES))
def test_round_trip(table: dict[str, object]) -> None:
    """What was written is read back the same."""
    assert table == tomllib.loads(dumps(table))


def test_lines() -> None:
    """A text of several lines can be read as such in the file."""
    assert 'prompt = """\nBe "kind".\nBe brief."""\n' == dumps({"prompt": 'Be "kind".\nBe brief.'}).replace('\\"', '"')


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), {"a": None}])
def test_not_in_toml(value: object) -> None:
    """What TOML cannot say is refused."""
    with pytest.raises(ValueError, match="TOML has no"):
        dumps({"a": value})
