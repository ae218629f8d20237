"""What an app says so that a call it repeats is not made, and paid for, a second time: `Idempotency-Key`."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from app.core.errors import BadRequest

KEY = "Idempotency-Key"
MEMORY = "X-Orgate-Memory"

_KEY = re.compile(r"[!-~]{1,255}")
_MEMORY = re.compile(r"[!-~]{1,64}")


@dataclass(frozen=True)
class Once:
    """A call that is to be made once, however often it is asked for."""

    key: str
    """The app's own name for the call."""
    memory: str | None
    """What the app takes the gateway to remember its calls in; with another one the call is not made."""
    digest: bytes
    """Of what is asked: a key stands for one request only."""


def read(key: str | None, memory: str | None, endpoint: str, raw: bytes) -> Once | None:
    """What these two headers ask for, with the API style's path and the body; None without a key. Raises BadRequest."""
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise BadRequest(f"{KEY} takes 1 to 255 visible ASCII characters.", param=KEY)
    if memory is not None and not _MEMORY.fullmatch(memory):
        raise BadRequest(f"{MEMORY} takes 1 to 64 visible ASCII characters.", param=MEMORY)
    return Once(key, memory, hashlib.sha256(endpoint.encode() + b"\0" + raw).digest())
