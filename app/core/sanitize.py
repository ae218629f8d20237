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

    @property
    def changed(self) -> bool:
        """The body is no longer what the app sent."""
        return self.dropped > 0 or self.cut > 0

    @property
    def told(self) -> str:
        """What was done, for the x-orgate-sanitized header."""
        return f"dropped={self.dropped}; cut={self.cut}"


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
    shortened = []
    for message in kept:
        content, cuts = _shorten(message.get("content"), max_chars)
        cut += cuts
        shortened.append({**message, "content": content} if cuts else message)
    return Sanitized({**body, "messages": shortened}, dropped=len(messages) - len(kept), cut=cut)


def _shorten(content: Json, max_chars: int) -> tuple[Json, int]:
    if isinstance(content, str):
        return (content[:max_chars], 1) if len(content) > max_chars else (content, 0)
    if not isinstance(content, list):
        return content, 0
    parts, cuts = [], 0
    for part in content:
        text = part.get("text") if isinstance(part, dict) else None
        if isinstance(text, str) and len(text) > max_chars:
            part, cuts = {**part, "text": text[:max_chars]}, cuts + 1
        parts.append(part)
    return parts, cuts
