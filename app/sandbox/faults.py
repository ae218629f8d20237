"""The table of faults: what `model: "sandbox/<name>"` does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.sandbox import recorded, refusals, tricks
from app.sandbox.answers import Answer, numbered
from app.sandbox.refusals import RefusedError
from app.sandbox.scenes import Scene
from app.sandbox.wire import Json

PREFIX = "sandbox/"
_DRIPPED_EVENTS = 20
_BIG = 1_000_000
_WIDE = ("Grüße ", "aus ", "Tōkyō, ", "привет ", "und ", "你好 ", "🙂 ", "naïve ", "café.")


@dataclass(frozen=True)
class Fault:
    """One way to misbehave; `unit` says what the number after the name means, `default` what it is without one."""

    name: str
    description: str
    play: Callable[[Scene, int], None] = tricks.good
    unit: str = ""
    default: int = 0
    refuse: Callable[[int], RefusedError] | None = None
    says: Callable[[int], tuple[str, ...]] | None = None
    instant: bool = False
    echoes: bool = False

    @property
    def usage(self) -> str:
        """The model id to ask for, with the place of its number."""
        return f"{PREFIX}{self.name}" + (f"[-<{self.unit}>]" if self.unit else "")

    def answer(self, number: int) -> Answer | None:
        """What it says when that is not up to the prompt."""
        return Answer(self.says(number)) if self.says else None


def _refusing(name: str, description: str, refuse: Callable[[], RefusedError]) -> Fault:
    return Fault(name, description, refuse=lambda _: refuse())


_REFUSALS = (
    Fault("status", "answers with this status and its usual body", unit="code", default=500, refuse=refusals.status),
    _refusing("400-context-length", "the prompt exceeds the context", lambda: refusals.too_long(200_000, 2_500_021)),
    _refusing("402-afford", "can only afford 27342 of 32000 tokens", lambda: refusals.cannot_afford(32_000, 27_342)),
    Fault(
        "402-in-flight",
        "too much money in running requests, with Retry-After",
        unit="s",
        default=1,
        refuse=refusals.in_flight,
    ),
    _refusing("402-never-bought", "the account never bought credits", refusals.never_bought),
    _refusing("403-key-limit", "the key's own limit is spent", refusals.key_limit),
    _refusing("403-guardrail", "a guardrail blocked the prompt", refusals.guardrail),
    _refusing("404-no-endpoints", "nobody serves the model", lambda: refusals.no_endpoints("sandbox/404-no-endpoints")),
    _refusing("429-free-daily", "the free tier's daily cap, reset in epoch ms", refusals.free_daily),
    _refusing("429-upstream", "a provider's own limit", refusals.upstream_busy),
    Fault(
        "429-retry-after",
        "rate limited, with Retry-After",
        unit="s",
        default=1,
        refuse=lambda seconds: refusals.retry_after(429, seconds),
    ),
    Fault(
        "503-retry-after",
        "overloaded, with Retry-After",
        unit="s",
        default=1,
        refuse=lambda seconds: refusals.retry_after(503, seconds),
    ),
    _refusing("502-html", "a gateway's HTML page", lambda: refusals.page(502, "502 Bad Gateway")),
    _refusing(
        "520-html", "Cloudflare's HTML page", lambda: refusals.page(520, "Web server is returning an unknown error")
    ),
    Fault("redirect", "redirects to where nobody listens", unit="code", default=307, refuse=refusals.redirect),
)

_ANSWERS = (
    Fault("ok", "a good answer at once", instant=True),
    Fault("echo", "answers with the last user message, word for word", instant=True, echoes=True),
    Fault("delay", "waits before the headers", tricks.delay, "ms", 1000),
    Fault("slow-headers", "headers byte by byte, so far apart", tricks.slow_headers, "ms", 5),
    Fault("drip", "20 events, so far apart", tricks.drip, "ms", 200, says=lambda _: numbered(_DRIPPED_EVENTS)),
    Fault("long", "so many events, at once", unit="events", default=1000, says=numbered, instant=True),
    Fault("silence", "accepts, never answers", tricks.silence),
    Fault("headers-then-silence", "headers, then nothing", tricks.headers_then_silence),
    Fault("stall", "so many content events, then nothing", tricks.stall, "n", 3),
    Fault("stall-comments", "so many content events, then only comments", tricks.stall_comments, "n", 3),
    Fault("comments", "only comments, for ever", tricks.comments),
    Fault("reset", "TCP reset before any byte", tricks.reset),
    Fault("reset-mid", "TCP reset after so many content events", tricks.reset_mid, "n", 3),
    Fault("cut", "closes within the body after so many content events", tricks.cut, "n", 3),
    Fault("cut-clean", "ends the body properly, without finish_reason or [DONE]", tricks.cut_clean, "n", 3),
    Fault("no-done", "finish_reason and usage, no [DONE]", tricks.no_done),
    Fault("no-done-open", "finish_reason and usage, no [DONE], connection left open", tricks.no_done_open),
    Fault("garbage", "200 with an HTML page", tricks.garbage),
    Fault("garbage-stream", "an event that is not JSON after so many", tricks.garbage_stream, "n", 3),
    Fault("short-length", "Content-Length larger than the body", tricks.short_length),
    Fault("duplicate-usage", "the usage twice, charged once", tricks.duplicate_usage),
    Fault("no-usage", "no usage, charged all the same", tricks.no_usage),
    Fault("absurd-usage", "cost 0 negative, 1 huge, 2 text, 3 null", tricks.absurd_usage, "kind", 0),
    Fault("error-in-200", "200, and an error before any content", tricks.error_in_200),
    Fault("choice-error", "partial text, then choices[0].error", tricks.choice_error, "n", 3),
    Fault("error-mid", "the documented error event after so many", tricks.error_mid, "n", 3),
    Fault("error-mid-recorded", "the error event as recorded in 2025", tricks.error_mid_recorded, "n", 3),
    Fault("empty", "200 with an empty body", tricks.empty),
    Fault("no-choices", "an empty list of choices", tricks.no_choices),
    Fault("204", "no content", tricks.no_content),
    Fault("early-hints", "an interim 103 first", tricks.early_hints),
    Fault("gzip-lie", "says gzip, is not", tricks.gzip_lie),
    Fault("wrong-type", "JSON's type on a stream, a stream's on JSON", tricks.wrong_type),
    Fault("after-done", "data after [DONE]", tricks.after_done),
    Fault("crlf", "CRLF line ends", tricks.crlf),
    Fault("utf8-split", "characters split over two writes", tricks.utf8_split, says=lambda _: _WIDE),
    Fault("big-event", "one event of 1 MB", says=lambda _: ("x" * _BIG,), instant=True),
)

_RECORDINGS = tuple(
    Fault(f"recorded-{name}", f"the recorded bytes of {file}", tricks.recording(name), instant=True)
    for name, file in recorded.SAMPLES.items()
)

FAULTS = {fault.name: fault for fault in (*_ANSWERS, *_REFUSALS, *_RECORDINGS)}


def listing() -> list[tuple[str, str]]:
    """Model id and one line of description for every fault, as printed by the command line."""
    return [(fault.usage, fault.description) for fault in FAULTS.values()]


def find(model: str) -> tuple[Fault, int] | None:
    """The fault a model id names, with its number; None when there is no such fault."""
    name = model.removeprefix(PREFIX)
    if name in FAULTS:
        return FAULTS[name], FAULTS[name].default
    stem, _, number = name.rpartition("-")
    fault = FAULTS.get(stem)
    if fault is None or not fault.unit or not (number.isascii() and number.isdigit()) or len(number) > 9:
        return None
    if fault.unit == "code" and not 300 <= int(number) <= 599:
        return None
    return fault, int(number)


def entry(name: str, description: str) -> Json:
    """A model object for `/models`, priced like a cheap model."""
    slug = f"{PREFIX}{name}"
    return {
        "id": slug,
        "canonical_slug": slug,
        "hugging_face_id": None,
        "name": f"Sandbox: {name}",
        "created": 1_780_000_000,
        "description": f"A fault of the sandbox: {description}.",
        "context_length": 200_000,
        "architecture": {
            "modality": "text+image->text",
            "input_modalities": ["text", "image"],
            "output_modalities": ["text"],
            "tokenizer": "Other",
            "instruct_type": None,
        },
        "pricing": {"prompt": "0.000001", "completion": "0.000005"},
        "top_provider": {"context_length": 200_000, "max_completion_tokens": 64_000, "is_moderated": False},
        "per_request_limits": None,
        "supported_parameters": ["max_tokens", "reasoning", "response_format", "stop", "tool_choice", "tools"],
        "default_parameters": {},
        "supported_voices": None,
        "knowledge_cutoff": None,
        "expiration_date": None,
        "links": {"details": f"/api/v1/models/{slug}/endpoints"},
    }


def entries() -> tuple[Json, ...]:
    """Every fault as a model object."""
    return tuple(entry(fault.name, fault.description) for fault in FAULTS.values())
