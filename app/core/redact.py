"""Takes secrets out of text before it leaves the process."""

from __future__ import annotations

import re

_KEY = re.compile(r"sk-or-[A-Za-z0-9._~+/=-]*")
_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?")
_BEARER = re.compile(r"(?i)((?:bearer\s++)++)(?!\[)[A-Za-z0-9._~+/=-]+")


def redact(text: str) -> str:
    """The text with every OpenRouter key, every JWT and every bearer credential replaced by a mark."""
    if "sk-or-" in text:
        text = _KEY.sub("[key]", text)
    if "eyJ" in text:
        text = _TOKEN.sub("[token]", text)
    return _BEARER.sub(r"\1[secret]", text)


def mask(key: str) -> str:
    """A key as it may be shown to its owner: how it starts and its last four characters."""
    head = "sk-or-v1-" if key.startswith("sk-or-v1-") else "sk-or-"
    return f"{head}…{key[-4:]}" if len(key) >= len(head) + 12 else f"{head}…"
