"""The document's "Request Sanitization": which messages pass, and how much of them (ORGATE_SANITIZE)."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.errors import BadRequest, Json

ROLES = ("system", "user", "assistant")
"""The document's own list; under `strict` nothing else passes."""

KNOWN_ROLES = (*ROLES, "developer", "tool", "function")


@dataclass(frozen=True)
class Sanitized:
    """A request body as it may be sent, and what was done to it."""

    body: dict[str, Json]
    dropped: int = 0
    """Messages left out for their role."""
    cut: int = 0
    """Texts that were cut."""
    stripped: int = 0
    """Messages that lost what is neither role nor content."""

    @property
    def changed(self) -> bool:
        """The body is no longer what the app sent."""
        return self.dropped > 0 or self.cut > 0 or self.stripped > 0

    @property
    def told(self) -> str:
        """What was done, for the x-orgate-sanitized header."""
        stripped = f"; stripped={self.stripped}" if self.stripped else ""
        return f"dropped={self.dropped}; cut={self.cut}{stripped}"


def sanitize(body: dict[str, Json], mode: str, max_chars: int) -> Sanitized:
    """The body under one of the modes strict, check, off; raises BadRequest. `max_chars` counts per text."""
    messages = body.get("messages")
    if mode == "off" or not isinstance(messages, list):
        return Sanitized(body)
    if mode == "check":
        for position, message in enumerate(messages):
            if message["role"] not in KNOWN_ROLES:
                raise BadRequest(
                    f"There is no role {message['role'][:40]!r}; use one of {', '.join(KNOWN_ROLES)}.",
                    param=f"messages[{position}].role",
                )
        return Sanitized(body)
    return _strictly(body, messages, max_chars)


def _strictly(body: dict[str, Json], messages: list[dict[str, Json]], max_chars: int) -> Sanitized:
    kept = [message for message in messages if message["role"] in ROLES]
    if not kept:
        raise BadRequest(f"No message is left: only the roles {', '.join(ROLES)} pass here.", param="messages")
    cut = 0
    clean = []
    for message in kept:
        content, cuts = _shorten(message.get("content"), max_chars)
        cut += cuts
        clean.append({"role": message["role"], **({"content": content} if "content" in message else {})})
    stripped = sum(bool(message.keys() - {"role", "content"}) for message in kept)
    return Sanitized({**body, "messages": clean}, len(messages) - len(kept), cut, stripped)


def _shorten(content: Json, max_chars: int) -> tuple[Json, int]:
    if isinstance(content, str):
        return _substring(content, max_chars)
    if not isinstance(content, list):
        return content, 0
    parts, cuts = [], 0
    for part in content:
        text = part.get("text") if isinstance(part, dict) else None
        if isinstance(text, str):
            text, cut = _substring(text, max_chars)
            part, cuts = {**part, "text": text}, cuts + cut
        parts.append(part)
    return parts, cuts


def _substring(text: str, max_chars: int) -> tuple[str, int]:
    """JavaScript's substring, as the document has it: counted in UTF-16 units; half a pair at the end is left out."""
    units = text.encode("utf-16-le", "surrogatepass")
    if len(units) <= 2 * max_chars:
        return text, 0
    return units[: 2 * max_chars].decode("utf-16-le", "ignore"), 1
