"""Tells events of a stream that differ in their text only, without decoding each of them."""

from __future__ import annotations

import re

_PLAIN = rb"[ !#-\[\]-~\x80-\xff]*+"
_TEXT = _PLAIN + rb'(?:\\["\\/bfnrt]' + _PLAIN + rb")*+"
"""
The inside of a JSON string, but for the rare escapes by number. Possessive: there is but one way to read it, and to
remember the others would take a hundred bytes for each escape.
"""

_SAID = re.compile(rb'"(?:arguments|content|partial_json|reasoning|text|thinking)": ?"(?!")(' + _TEXT + rb')"')
_AS_TEXT = re.compile(_TEXT)


class Frame:
    """
    What stands around the text of an event that brings some.

    Within a stream nearly all events differ in nothing else. Whatever such an event says beside its text was read
    when its frame was; and of a text a reading keeps only that there was some.
    """

    def __init__(self, before: bytes, after: bytes) -> None:
        self.before = before
        self.after = after
        self._size = len(before) + len(after)

    @classmethod
    def of(cls, data: bytes) -> Frame | None:
        """The frame of an event, if it has a text where answers have theirs."""
        said = _SAID.search(data)
        return None if said is None else cls(data[: said.start(1)], data[said.end(1) :])

    def holds(self, data: bytes) -> bool:
        """Whether the event is this frame around another text, and so would be decoded to the same but for that."""
        if len(data) <= self._size or not (data.startswith(self.before) and data.endswith(self.after)):
            return False
        begin, end = len(self.before), len(data) - len(self.after)
        if not _AS_TEXT.fullmatch(data, begin, end):
            return False
        return data.isascii() or _is_utf8(data[begin:end])


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
