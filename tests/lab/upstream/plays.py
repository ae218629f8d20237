"""Scripts for the raw upstream: what it writes, byte by byte."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.lab.upstream.wire import Peer, Play

TEXT = "Well answered."
USAGE = {"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7, "cost": 0.000019}
DONE = b"data: [DONE]\n\n"
COMMENT = b": OPENROUTER PROCESSING\n\n"
EVENTS = {"Content-Type": "text/event-stream"}
JSON = {"Content-Type": "application/json"}
HTML = {"Content-Type": "text/html; charset=UTF-8"}
PAGE = b"<!DOCTYPE html>\n<html><body><h1>Sign in to the network</h1></body></html>\n"


def head(status: int, headers: Mapping[str, str]) -> bytes:
    """A status line and headers."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} Lab\r\n{lines}\r\n".encode()


def chunked(headers: Mapping[str, str]) -> bytes:
    """The head of a 200 whose body comes in chunks."""
    return head(200, {**headers, "Transfer-Encoding": "chunked", "X-Generation-Id": "gen-lab"})


def chunk(data: bytes) -> bytes:
    """Data framed as one chunk (RFC 9112 §7.1); none ends the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def whole(status: int, headers: Mapping[str, str], body: bytes) -> bytes:
    """An answer with its length."""
    return head(status, {**headers, "Content-Length": str(len(body))}) + body


def event(**members: Any) -> bytes:
    """One event of a chat stream."""
    shared = {"id": "gen-lab", "object": "chat.completion.chunk", "created": 1_790_000_000, "provider": "Lab"}
    return b"data: " + json.dumps({**shared, **members}).encode() + b"\n\n"


def said(text: str = TEXT, **members: Any) -> bytes:
    """An event with content."""
    return event(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": None}], **members)


def ended(reason: str = "stop", **members: Any) -> bytes:
    """An event with a finish_reason."""
    return event(choices=[{"index": 0, "delta": {"content": ""}, "finish_reason": reason}], **members)


def error_event(**error: Any) -> bytes:
    """OpenRouter's documented error event."""
    choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
    return event(error=error, choices=[choice])


def answer(text: str = TEXT, **members: Any) -> bytes:
    """A plain chat answer."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    shared = {"id": "gen-lab", "object": "chat.completion", "created": 1_790_000_000, "provider": "Lab"}
    return json.dumps({**shared, "model": "lab/model", "choices": [choice], "usage": USAGE, **members}).encode()


def good(peer: Peer) -> None:
    """A good answer, in the form that was asked for."""
    if peer.stream:
        peer.send(chunked(EVENTS))
        for part in (COMMENT, said(model=peer.post.model), ended(usage=USAGE), DONE, b""):
            peer.send(chunk(part))
    else:
        peer.send(whole(200, {**JSON, "X-Generation-Id": "gen-lab"}, b"\n   \n" + answer(model=peer.post.model)))


def refusing(status: int, headers: Mapping[str, str] | None = None, **error: Any) -> Play:
    """OpenRouter's refusal in JSON."""
    body = json.dumps({"error": {"code": status, "message": f"Refused {status}", **error}, "user_id": "u"}).encode()
    return lambda peer: peer.send(whole(status, {**JSON, **(headers or {})}, body))


def answering(status: int, headers: Mapping[str, str], body: bytes) -> Play:
    """Any whole answer."""
    return lambda peer: peer.send(whole(status, headers, body))


def streaming(*parts: bytes) -> Play:
    """A stream with these bytes, well framed and ended; every part is a chunk of its own."""
    return lambda peer: peer.send(chunked(EVENTS) + b"".join(chunk(part) for part in parts) + chunk(b""))


def streaming_then(then: Play, *parts: bytes) -> Play:
    """A stream with these bytes that does not end well."""

    def play(peer: Peer) -> None:
        peer.send(chunked(EVENTS) + b"".join(chunk(part) for part in parts))
        then(peer)

    return play


def by_shape(plain: Play, streamed: Play) -> Play:
    """The one for a plain call, the other for a streamed one."""
    return lambda peer: (streamed if peer.stream else plain)(peer)


def sending(data: bytes, then: Play = Peer.hang_up) -> Play:
    """Bare bytes, and what follows them."""

    def play(peer: Peer) -> None:
        peer.send(data)
        then(peer)

    return play


def dripping(data: bytes, seconds: float = 0.05) -> Play:
    """One byte after the other, for ever: the last is repeated."""

    def play(peer: Peer) -> None:
        for byte in data:
            peer.send(bytes([byte]))
            peer.pause(seconds)
        while True:
            peer.send(data[-1:])
            peer.pause(seconds)

    return play


def repeating(data: bytes, seconds: float = 0.05) -> Play:
    """The same bytes as a chunk again and again."""

    def play(peer: Peer) -> None:
        while True:
            peer.send(chunk(data))
            peer.pause(seconds)

    return play
