"""The document's "Request Sanitization": which messages pass, and how much of them (ORGATE_SANITIZE)."""

from __future__ import annotations

from dataclasses import replace

from app.core.errors import BadRequest, Json
from app.core.frozen import frozen
from app.core.styles import CHAT, Style

ROLES = ("system", "user", "assistant")
"""The document's own list; under `strict` nothing else passes."""

KNOWN_ROLES = CHAT.roles


@frozen
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


def sanitize(body: dict[str, Json], mode: str, max_chars: int, style: Style = CHAT) -> Sanitized:
    """
    The body under one of the modes strict, check, off; raises BadRequest. `max_chars` counts per text.

    Styles without messages pass as they are. Items of Responses that are no messages (a tool's result) have no role.
    """
    if mode == "off" or style.talk is None or not style.roles:
        return Sanitized(body)
    messages = body.get(style.talk)
    if mode == "strict":
        return _strictly(body, style, max_chars)
    if isinstance(messages, list):
        for position, message in enumerate(messages):
            role = message.get("role")
            if role is not None and role not in style.roles:
                raise BadRequest(
                    f"There is no role {str(role)[:40]!r}; use one of {', '.join(style.roles)}.",
                    param=f"{style.talk}[{position}].role",
                )
    return Sanitized(body)


def _strictly(body: dict[str, Json], style: Style, max_chars: int) -> Sanitized:
    """Messages first, then what stands in a field of its own: the system text, or an input without roles."""
    assert style.talk is not None
    messages = body.get(style.talk)
    done = _only_known(body, style.talk, messages, max_chars) if isinstance(messages, list) else Sanitized(body)
    short, cuts = {}, 0
    for name in (style.preamble, style.talk):
        if name is not None and name in body and (name != style.talk or isinstance(messages, str)):
            short[name], cut = _shorten(body[name], max_chars)
            cuts += cut
    return replace(done, body={**done.body, **short}, cut=done.cut + cuts) if cuts else done


def _only_known(body: dict[str, Json], talk: str, messages: list[dict[str, Json]], max_chars: int) -> Sanitized:
    kept = [message for message in messages if message.get("role") in ROLES]
    if not kept:
        raise BadRequest(f"No message is left: only the roles {', '.join(ROLES)} pass here.", param=talk)
    cut = 0
    clean = []
    for message in kept:
        content, cuts = _shorten(message.get("content"), max_chars)
        cut += cuts
        clean.append({"role": message["role"], **({"content": content} if "content" in message else {})})
    stripped = sum(bool(message.keys() - {"role", "content"}) for message in kept)
    return Sanitized({**body, talk: clean}, len(messages) - len(kept), cut, stripped)


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
