"""What an app says so that a call it repeats is not made, and paid for, a second time: `Idempotency-Key`."""

from __future__ import annotations

import hashlib
import re

from app.core.forms import Kind, Parameter
from app.core.frozen import frozen


def _visible(most: int) -> Kind:
    form = re.compile(rf"[!-~]{{1,{most}}}")
    return Kind(
        f"1 to {most} visible ASCII characters",
        {"type": "string", "pattern": f"^{form.pattern}$"},
        lambda text: form.fullmatch(text) is not None,
    )


KEY = Parameter("Idempotency-Key", _visible(255), "The app's own name for the call, which is then made only once.")
MEMORY = Parameter("X-Orgate-Memory", _visible(64), "What the app takes the gateway to remember its calls in.")


@frozen
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
    for field, text in ((KEY, key), (MEMORY, memory)):
        if text is not None and not field.kind.holds(text):
            raise field.refusal()
    return Once(key, memory, hashlib.sha256(endpoint.encode() + b"\0" + raw).digest())
