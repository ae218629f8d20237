"""Takes secrets out of text before it leaves the process."""

from __future__ import annotations

import functools
import hashlib
import re

_LONGEST = 512
_MOST = 20
"""So long a text and so many members of a list are told; apps choose what they call a model."""

_KEY = re.compile(r"sk-or-[A-Za-z0-9._~+/=-]*")
_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?")
_BEARER = re.compile(r"(?i)((?:bearer\s++)++)(?!\[)[A-Za-z0-9._~+/=-]+")


def may_tell(text: str) -> bool:
    """Whether `redact` could find something in this text, or in one that was written as JSON into it."""
    return "sk-or-" in text or "eyJ" in text or "bearer" in text.casefold()


def redact(text: str) -> str:
    """The text with every OpenRouter key, every JWT and every bearer credential replaced by a mark."""
    if "sk-or-" in text:
        text = _KEY.sub("[key]", text)
    if "eyJ" in text:
        text = _TOKEN.sub("[token]", text)
    if "bearer" in text.casefold():
        text = _BEARER.sub(r"\1[secret]", text)
    return text


def clean(value: object) -> object:
    """A fact as it may be told outside: plain JSON of a bounded size without secrets."""
    if isinstance(value, str):
        text = redact(value)
        return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
    if isinstance(value, dict):
        return {str(name): clean(inner) for name, inner in list(value.items())[:_MOST]}
    if isinstance(value, (list, tuple)):
        return [clean(inner) for inner in value[:_MOST]]
    return value if value is None or isinstance(value, (int, float)) else redact(str(value))


@functools.lru_cache(maxsize=16)
def fingerprint(key: str) -> str:
    """Which key it is, without telling it: the first half of a SHA-256, in hexadecimal (16 characters)."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def mask(key: str) -> str:
    """A key as it may be shown to its owner: how it starts and its last four characters."""
    head = "sk-or-v1-" if key.startswith("sk-or-v1-") else "sk-or-"
    return f"{head}…{key[-4:]}" if len(key) >= len(head) + 12 else f"{head}…"
