from __future__ import annotations

import re
from pathlib import Path

from tests.lab.client.rows import NOT_TESTED

_NAMED = re.compile(r'def test_c(\d+)_|^\s*"C(\d+)-', re.MULTILINE)


def test_every_row() -> None:
    """Each of C1–C30 is a test here, by the name of the test or the id of its case, or is listed with the reason."""
    files = Path(__file__).parent.glob("test_*.py")
    found = [match for file in files for match in _NAMED.findall(file.read_text("utf-8"))]
    tested = {f"C{int(by_name or by_id)}" for by_name, by_id in found}

    assert {f"C{number}" for number in range(1, 31)} == tested | set(NOT_TESTED)
    assert set() == tested & set(NOT_TESTED)
