"""The lines of a batch as requests, and their answers in the shape of OpenAI's batch output."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from app.core import chain, strict_json
from app.core.errors import BadRequest, Json
from app.core.frozen import frozen
from app.core.styles import CHAT, STYLES, Style

_MOUNTS = ("/v1", "/api/v1", "/api/openrouter")
_MEMBERS = {"custom_id", "method", "url", "body"}
_FORMS = 'a text, {"prompt": …}, the body of a chat with messages, or {"custom_id": …, "body": {…}}'


class BadLine(Exception):
    """A line that is no request; the message says which and why."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(f"Line {number}: {why}")


@frozen
class Item:
    """One line's request."""

    custom_id: str
    path: str
    """The address below the gateway's root."""
    body: dict[str, Json]
    raw: bytes
    """The body as it is sent."""

    @property
    def style(self) -> Style:
        """The API style of the address."""
        return _style(self.path)

    @property
    def identity(self) -> str:
        """Changes with anything that makes this another request."""
        told = "\0".join((self.custom_id, self.path)).encode()
        return hashlib.sha256(told + b"\0" + self.raw).hexdigest()[:32]


def read(lines: Iterable[bytes], model: str | None) -> list[Item]:
    """
    The requests of all lines; raises BadLine for the first that is none.

    `model` is for lines that name none. Lines without a custom_id get "line-" and their number.
    """
    items: list[Item] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        try:
            item = _item(_decoded(line), number, model)
        except BadRequest as error:
            raise BadLine(number, error.message) from None
        before = seen.setdefault(item.custom_id, number)
        if before != number:
            raise BadLine(number, f"the custom_id {item.custom_id!r} is that of line {before} already.")
        items.append(item)
    return items


def _decoded(line: bytes) -> Json:
    if not line.strip():
        raise BadRequest("it is empty.")
    try:
        value: Json = json.loads(line)
        if isinstance(value, str):
            value.encode("utf-8")
            return value
    except json.JSONDecodeError as error:
        raise BadRequest(f"it is not JSON: {error.msg} (column {error.colno}).") from None
    except (ValueError, RecursionError):
        raise BadRequest("it is not JSON in UTF-8.") from None
    if not isinstance(value, dict):
        raise BadRequest(f"it must be {_FORMS}.")
    return strict_json.loads(line)


def _item(value: Json, number: int, model: str | None) -> Item:
    custom_id: Json = None
    path = _MOUNTS[0] + CHAT.endpoint
    if isinstance(value, str):
        body: Json = {"messages": [{"role": "user", "content": value}]}
    elif "body" in value:
        _check_members(value)
        custom_id, body = value.get("custom_id"), value["body"]
        path = _path(value.get("url", path))
    elif "messages" in value or "prompt" in value:
        custom_id = value.get("custom_id")
        body = _chat({name: member for name, member in value.items() if name != "custom_id"})
    else:
        raise BadRequest(f"it must be {_FORMS}.")
    if custom_id is not None and not (isinstance(custom_id, str) and 0 < len(custom_id) <= 512):
        raise BadRequest("custom_id must be a text of 1 to 512 characters.")
    body = _checked(body, path, model)
    raw = json.dumps(body, ensure_ascii=False).encode("utf-8")
    return Item(f"line-{number}" if custom_id is None else custom_id, path, body, raw)


def _check_members(value: dict[str, Json]) -> None:
    unknown = sorted(set(value) - _MEMBERS)
    if unknown:
        raise BadRequest(f"beside body there may be {', '.join(sorted(_MEMBERS - {'body'}))}, not {unknown[0]!r}.")
    if value.get("method", "POST") != "POST":
        raise BadRequest("method must be POST.")


def _path(url: Json) -> str:
    """The address of an API style; each is known by its end, below whichever address."""
    mount = next((mount for mount in _MOUNTS if isinstance(url, str) and url.removeprefix(mount) in STYLES), None)
    if mount is None:
        raise BadRequest(f"url must be one of {', '.join(_MOUNTS[0] + style for style in STYLES)}.")
    return str(url)


def _chat(body: dict[str, Json]) -> dict[str, Json]:
    prompt = body.get("prompt")
    if "messages" in body:
        return body
    if not isinstance(prompt, str):
        raise BadRequest("prompt must be a text.")
    rest = {name: member for name, member in body.items() if name != "prompt"}
    return {**rest, "messages": [{"role": "user", "content": prompt}]}


def _checked(given: Json, path: str, model: str | None) -> dict[str, Json]:
    if not isinstance(given, dict):
        raise BadRequest("body must be an object.")
    body: dict[str, Json] = given
    if model is not None and not body.get("model") and not body.get("models"):
        body = {"model": model, **{name: member for name, member in body.items() if name != "model"}}
    if not body.get("model") and not body.get("models"):
        raise BadRequest("it names no model. Add one, or give one for all such lines with --model.")
    if body.get("stream"):
        raise BadRequest("a batch takes whole answers; leave stream out.")
    wish = _style(path).read(body)
    chain.models_of(wish.model, wish.fallbacks)
    return body


def _style(path: str) -> Style:
    return next(style for mount in _MOUNTS if (style := STYLES.get(path.removeprefix(mount))) is not None)


def output(item: Item, name: str, response: dict[str, Json] | None, error: Json, cost: str | None) -> dict[str, Json]:
    """A line of OpenAI's batch output, with the cost in dollars beside it; null where nobody knows it."""
    return {"id": name, "custom_id": item.custom_id, "response": response, "error": error, "cost": cost}
