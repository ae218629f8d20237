"""What may stand as a label outside of the gateway: few values, and never what somebody wrote."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

from app.core.redact import redact

OTHER = "other"

_MODEL = re.compile(r"[A-Za-z0-9@~._-]{1,64}/[A-Za-z0-9@~._:+/-]{1,128}")
_PRINTABLE = re.compile(r"[!-~]([ -~]{0,126}[!-~])?")
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


def model(name: str) -> str:
    """The name if it has the form of a model's id (author/slug), else "other": apps choose what they call a model."""
    return name if _MODEL.fullmatch(name) and redact(name) == name else OTHER


def code(name: str) -> str:
    """The name if it is the code of an error or an outcome, else "other"."""
    return name if _CODE.fullmatch(name) and redact(name) == name else OTHER


def printed(name: str) -> str:
    """The name if it is a line of printable ASCII without a secret, else "other"."""
    return name if _PRINTABLE.fullmatch(name) and redact(name) == name else OTHER


class Names:
    """
    The values of one label: each new one takes a place while there are any, then it is "other".

    Names that nothing vouches for may take half of the places, so that an app cannot use them up with invented ones.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def admit(self, name: str, form: Callable[[str], str] = printed, *, vouched: bool = True) -> str:
        """The name, or "other" when it has not the form or there is no place for it."""
        if name in self._known:
            return name
        if form(name) == OTHER:
            return OTHER
        with self._lock:
            if len(self._known) >= (self._most if vouched else self._most // 2):
                return OTHER
            self._known.add(name)
        return name
