"""Texts cut to what Windows takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tray.limits import MESSAGE, TITLE, TOOLTIP, cut


@pytest.mark.parametrize("most", [TOOLTIP, TITLE, MESSAGE])
def test_what_fits_is_left_alone(most: int) -> None:
    """Up to the last character."""
    assert "x" * most == cut("x" * most, most)


@pytest.mark.parametrize("most", [TOOLTIP, TITLE, MESSAGE])
def test_what_does_not_fit_ends_in_an_ellipsis(most: int) -> None:
    """One character more than Windows takes would be an error there."""
    assert "x" * (most - 1) + "…" == cut("x" * (most + 1), most)


@given(st.text(), st.integers(1, 80))
def test_no_text_is_longer_in_the_units_of_windows(text: str, most: int) -> None:
    """A character outside the basic plane counts as two, and is never cut in half."""
    kept = cut(text, most)

    assert len(kept.encode("utf-16-le")) // 2 <= most
    assert text.startswith(kept.removesuffix("…"))
