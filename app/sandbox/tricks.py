"""How each fault plays its scene; every function takes the scene and the fault's number."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from app.sandbox import recorded, wire
from app.sandbox.answers import Answer
from app.sandbox.refusals import page
from app.sandbox.scenes import PlainScene, Scene, StreamScene
from app.sandbox.wire import Json

DISCONNECTED = {
    "code": 502,
    "message": "Provider disconnected mid-stream",
    "metadata": {"error_type": "provider_unavailable"},
}
LIMITED = {"code": 429, "message": "Rate limit exceeded", "metadata": {"error_type": "rate_limit_exceeded"}}
OVERLOADED = {"code": 502, "message": "Provider returned error", "metadata": {"error_type": "provider_unavailable"}}
RECORDED_ERROR = {"code": 400, "message": "Token limit reached"}
_COMMENT_GAP_S = 0.1
_ENDLESS = None


def good(scene: Scene, _: int) -> None:
    """No fault at all."""
    scene.play()


def delay(scene: Scene, ms: int) -> None:
    """The head comes late."""
    scene.begin()
    scene.outlet.wait(ms / 1000)
    scene.play()


def slow_headers(scene: Scene, ms: int) -> None:
    """The head comes byte by byte."""
    scene.begin()
    scene.outlet.head(200, scene.response_headers(), gap_s=ms / 1000)
    scene.content()
    scene.close()


def drip(scene: Scene, ms: int) -> None:
    """Slow content; a plain body comes in as many parts as there are pieces."""
    scene.open()
    scene.interval_s = ms / 1000
    if isinstance(scene, PlainScene):
        scene.produce_all()
        scene.settle()
        body = scene.body()
        size = -(-len(body) // max(1, len(scene.reply.answer.pieces)))
        for at in range(0, len(body), size):
            scene.outlet.send(body[at : at + size])
            scene.outlet.wait(ms / 1000)
        scene.outlet.end()
        return
    scene.content()
    scene.close()


def silence(scene: Scene, _: int) -> None:
    """Nothing ever comes."""
    scene.outlet.wait(_ENDLESS)


def headers_then_silence(scene: Scene, _: int) -> None:
    """The head, and nothing after it."""
    scene.begin()
    scene.outlet.head(200, scene.response_headers())
    scene.outlet.wait(_ENDLESS)


def stall(scene: Scene, count: int) -> None:
    """Some content, and nothing after it."""
    scene.open()
    scene.content(count)
    scene.outlet.wait(_ENDLESS)


def comments(scene: Scene, _: int) -> None:
    """Signs of life without end, never content."""
    scene.open()
    while True:
        scene.idle()
        scene.outlet.wait(_COMMENT_GAP_S)


def stall_comments(scene: Scene, count: int) -> None:
    """Some content, then signs of life without end."""
    scene.open()
    scene.content(count)
    while True:
        if scene.streamed:
            scene.idle()
        scene.outlet.wait(_COMMENT_GAP_S)


def reset(scene: Scene, _: int) -> None:
    """The connection is reset before any byte."""
    scene.outlet.reset()


def reset_mid(scene: Scene, count: int) -> None:
    """The connection is reset within the content."""
    scene.open()
    scene.content(count)
    scene.settle()
    # A reset overtakes what was written just before it.
    scene.outlet.wait(0.02)
    scene.outlet.reset()


def cut(scene: Scene, count: int) -> None:
    """The connection closes within the body."""
    scene.open()
    scene.content(count)
    scene.settle()
    scene.outlet.cut()


def cut_clean(scene: Scene, count: int) -> None:
    """The body ends properly, but too early."""
    scene.open()
    scene.content(count)
    scene.settle()
    scene.outlet.end()


def no_done(scene: Scene, _: int) -> None:
    """Everything but the end mark."""
    scene.open()
    scene.content()
    scene.finish()
    scene.usage()
    scene.outlet.end()


def no_done_open(scene: Scene, _: int) -> None:
    """Finish reason and usage, then the connection stays open without the end mark."""
    scene.open()
    scene.content()
    scene.finish()
    scene.usage()
    scene.outlet.wait(_ENDLESS)


def garbage(scene: Scene, _: int) -> None:
    """An HTML page instead of an answer."""
    found = page(200, "Just a moment...")
    scene.outlet.answer(200, found.headers, found.body)


def garbage_stream(scene: Scene, count: int) -> None:
    """Something that is not JSON within the answer."""
    scene.open()
    scene.content(count)
    scene.settle()
    if scene.streamed:
        scene.outlet.event(b'data: {"id":"gen-1","choices":[{"delta":' + scene.newline * 2)
    scene.outlet.end()


def short_length(scene: Scene, _: int) -> None:
    """The head promises more bytes than come."""
    scene.begin()
    scene.produce_all()
    scene.settle()
    dialect = scene.dialect
    if scene.streamed:
        part = dialect.parts(scene.reply)[0]
        events = (*dialect.opening(scene.reply), *part.before, part.event)
        body = b"".join(dialect.frame(event, number) + b"\n\n" for number, event in enumerate(events))
    else:
        body = wire.dumps(dialect.plain(scene.reply, scene.spent()))
    scene.outlet.head(200, scene.response_headers(), length=len(body) + 100)
    scene.outlet.send(body)
    scene.outlet.cut()


def duplicate_usage(scene: Scene, _: int) -> None:
    """The usage comes twice; it was charged once."""
    scene.open()
    scene.content()
    scene.finish()
    scene.usage()
    scene.usage()
    scene.done()
    scene.outlet.end()


def no_usage(scene: Scene, _: int) -> None:
    """The answer does not tell what it cost."""
    _with_usage(scene, None)


def absurd_usage(scene: Scene, kind: int) -> None:
    """The answer tells nonsense about its cost: 0 negative, 1 huge, 2 text, 3 null."""
    costs: list[Any] = [-1, 99_999_999, "much", None]
    sign = -1 if kind == 0 else 10**12
    _with_usage(scene, scene.dialect.absurd(sign, costs[kind % len(costs)]))


def _with_usage(scene: Scene, told: Json | None) -> None:
    scene.open()
    if isinstance(scene, StreamScene):
        scene.content()
        scene.finish()
        scene.settle()
        scene.say(*scene.dialect.last(scene.reply, told))
        scene.done()
    else:
        scene.produce_all()
        scene.settle()
        scene.say(scene.dialect.plain(scene.reply, told))
    scene.outlet.end()


def error_in_200(scene: Scene, _: int) -> None:
    """Status 200, and an error where the answer should be."""
    scene.open()
    if scene.streamed:
        scene.say(scene.dialect.error(scene.reply, OVERLOADED, begun=False))
        _mark_end(scene)
    else:
        scene.say(scene.dialect.plain_error(scene.reply, OVERLOADED))
    scene.settle(failed=True)
    scene.outlet.end()


def choice_error(scene: Scene, count: int) -> None:
    """Some text, then an error inside the choice; other dialects than chat have one place for errors only."""
    scene.open()
    if scene.streamed:
        scene.content(count)
        last = scene.dialect.error(scene.reply, DISCONNECTED, begun=True)
        if "choices" in last:
            last["choices"][0]["error"] = last.pop("error")
        scene.say(last)
        _mark_end(scene)
    else:
        scene.say(_broken(scene, count))
    scene.settle(failed=True)
    scene.outlet.end()


def error_mid(scene: Scene, count: int) -> None:
    """Some content, then the documented error event, which ends the stream."""
    scene.open()
    if scene.streamed:
        scene.content(count)
        scene.say(scene.dialect.error(scene.reply, LIMITED, begun=True))
    else:
        scene.say(_broken(scene, count) | scene.dialect.plain_error(scene.reply, LIMITED))
    scene.settle(failed=True)
    scene.outlet.end()


def error_mid_recorded(scene: Scene, count: int) -> None:
    """Some content, then an error event as recorded in 2025: no finish reason, with usage, end mark after it."""
    scene.open()
    if scene.streamed:
        scene.content(count)
        scene.settle()
        told = scene.dialect.error(scene.reply, RECORDED_ERROR, begun=True)
        for choice in told.get("choices", ()):
            choice |= {"finish_reason": None, "native_finish_reason": None}
        scene.say({**told, "usage": scene.spent()} if "choices" in told else told)
        _mark_end(scene)
    else:
        scene.say(_broken(scene, count) | scene.dialect.plain_error(scene.reply, RECORDED_ERROR))
    scene.settle(failed=True)
    scene.outlet.end()


def _mark_end(scene: Scene) -> None:
    """[DONE], as it was recorded behind errors too; a dialect whose last frame is a closing event has none then."""
    if scene.dialect.end is not None and scene.dialect.end.startswith(b"data:"):
        scene.done()


def _broken(scene: Scene, count: int) -> Json:
    return scene.dialect.broken(scene.reply, count, DISCONNECTED)


def empty(scene: Scene, _: int) -> None:
    """Status 200 without a body; what has an id can be looked up, and nothing is charged for nothing."""
    scene.begin()
    scene.settle(failed=True)
    scene.outlet.answer(200, scene.response_headers(), b"")


def no_choices(scene: Scene, _: int) -> None:
    """An answer whose list of choices is empty."""
    scene.open()
    if scene.streamed:
        scene.say(*scene.dialect.nothing(scene.reply))
        scene.done()
    else:
        scene.say(scene.dialect.plain_nothing(scene.reply))
    scene.settle(failed=True)
    scene.outlet.end()


def no_content(scene: Scene, _: int) -> None:
    """Status 204."""
    scene.outlet.answer(204, {}, b"")


def early_hints(scene: Scene, _: int) -> None:
    """An interim answer before the real one."""
    scene.begin()
    scene.outlet.raw(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
    scene.play()


def gzip_lie(scene: Scene, _: int) -> None:
    """The head says gzip, the body is not."""
    scene.headers = {**scene.headers, "Content-Encoding": "gzip"}
    scene.play()


def wrong_type(scene: Scene, _: int) -> None:
    """The content type of the other kind of answer."""
    kinds = (StreamScene.content_type, PlainScene.content_type)
    scene.content_type = kinds[1] if scene.streamed else kinds[0]
    scene.play()


def after_done(scene: Scene, _: int) -> None:
    """More data after the end mark."""
    scene.open()
    scene.content()
    scene.finish()
    scene.usage()
    scene.done()
    if scene.streamed:
        late = replace(scene.reply, answer=Answer((" (after the end)",)))
        scene.say(scene.dialect.parts(late)[0].event)
    else:
        scene.outlet.send(b"\n\n")
    scene.outlet.end()


def crlf(scene: Scene, _: int) -> None:
    """Lines end with carriage return and line feed."""
    scene.newline = b"\r\n"
    scene.play()


def utf8_split(scene: Scene, _: int) -> None:
    """Characters of several bytes arrive in two writes."""
    scene.splits = True
    scene.play()


def recording(name: str) -> Any:
    """A function that plays a recorded answer, byte for byte."""

    def play(scene: Scene, _: int) -> None:
        recorded.play(name, scene)

    return play
