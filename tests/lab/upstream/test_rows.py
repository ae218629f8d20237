from __future__ import annotations

import importlib
import pkgutil
import re
from typing import Any

from tests.lab import upstream
from tests.lab.upstream.rows import ALL, NOT_TESTED


def _ids(marks: list[Any]) -> set[str]:
    found: set[str] = set()
    for mark in marks:
        if mark.name == "parametrize":
            values, ids = list(mark.args[1]), mark.kwargs.get("ids")
            named = [getattr(value, "id", value) for value in values]
            named += map(ids, values) if callable(ids) else ids or ()
            found |= {name[0] for name in (re.match(r"U\d+", str(text)) for text in named) if name}
    return found


def test_every_row() -> None:
    """Every row of the matrix is a test, or its reason not to be is told; none is both."""
    tested: set[str] = set()
    for module in pkgutil.iter_modules(upstream.__path__):
        if module.name.startswith("test_"):
            members = vars(importlib.import_module(f"{upstream.__name__}.{module.name}"))
            for member in list(members.values()):
                tested |= _ids(getattr(member, "pytestmark", []))

    assert set(ALL) == tested | NOT_TESTED.keys()
    assert set() == tested & NOT_TESTED.keys()
