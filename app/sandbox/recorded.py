"""Answers recorded from OpenRouter, played back byte for byte and charged as they were."""

from __future__ import annotations

import re
import time
from importlib.resources import files

from app.sandbox import wire
from app.sandbox.account import Generation
from app.sandbox.scenes import Scene
from app.sandbox.wire import Json

SAMPLES = {
    "chat_stream": "chat_stream_2026-06-08.body.sse",
    "chat_nonstream": "chat_nonstream_2026-06-08.body.json.txt",
    "tools_stream": "chat_tools_stream_2026.body.sse",
    "tools_nonstream": "chat_tool_calling_nonstream.body.json.txt",
    "reasoning": "chat_stream_reasoning.body.sse",
    "inband_error": "chat_stream_inband_error.body.sse",
    "fallback": "chat_fallback_models_nonstream.body.json.txt",
    "preset": "chat_preset.body.json.txt",
    "cache": "chat_stream_cache_e2e.body.sse",
    "native_options": "chat_stream_with_native_options.body.sse",
    "web_search_stream": "chat_web_search_tool_stream.body.sse",
    "web_search_nonstream": "chat_web_search_tool_nonstream.body.json.txt",
    "responses_stream": "responses_stream_2026-08-04.body.sse",
    "responses_reasoning": "responses_stream_cot.body.sse",
    "embeddings": "embeddings_2026.body.json.txt",
    "error_400": "error_400_context_length_2026-06-08.body.json.txt",
    "error_401": "error_401_2026-06-08.body.json.txt",
    "error_429": "error_429_upstream_free_model.body.json.txt",
}
_EVENT = re.compile(rb".*?\n\n|.+\Z", re.DOTALL)


def body(name: str) -> bytes:
    """The bytes of a sample's body."""
    return files("app.sandbox").joinpath("data/samples", SAMPLES[name]).read_bytes()


def play(name: str, scene: Scene) -> None:
    """Answer with a sample, event by event, and charge what it says it cost."""
    data, streamed = body(name), SAMPLES[name].endswith(".sse")
    told = _told(data, streamed)
    scene.content_type = "text/event-stream" if streamed else "application/json"
    headers = scene.response_headers()
    if "X-Generation-Id" in headers:
        headers["X-Generation-Id"] = str(told.get("id", ""))
    if name.startswith("error_"):
        headers.pop("X-Generation-Id", None)
        scene.outlet.answer(int(name.removeprefix("error_")), headers, data)
        return
    scene.outlet.head(200, headers)
    for event in _EVENT.findall(data) if streamed else [data]:
        if event.startswith(b"data: {"):
            scene.outlet.event(event)
        else:
            scene.outlet.send(event)
        if scene.interval_s:
            scene.outlet.wait(scene.interval_s)
    scene.charge(_generation(told, streamed, scene))
    scene.outlet.end()


def _told(data: bytes, streamed: bool) -> Json:
    """The last JSON object with a usage in it, or the only one."""
    if not streamed:
        return dict(wire.loads(data))
    found: Json = {}
    for line in data.splitlines():
        if line.startswith(b"data: {"):
            event = wire.loads(line.removeprefix(b"data: "))
            event = event.get("response") or event
            found = event if event.get("usage") or not found else found
    return found


def _generation(told: Json, streamed: bool, scene: Scene) -> Generation:
    usage = told.get("usage") or {}
    choice = (told.get("choices") or [{}])[0]
    return Generation(
        id=str(told.get("id")),
        model=str(told.get("model")),
        provider=str(told.get("provider")),
        key=scene.key,
        prompt_tokens=usage.get("prompt_tokens", usage.get("input_tokens", 0)),
        completion_tokens=usage.get("completion_tokens", usage.get("output_tokens", 0)),
        reasoning_tokens=(usage.get("completion_tokens_details") or {}).get("reasoning_tokens", 0),
        cost_nano=wire.nano(usage.get("cost") or 0),
        cancelled=False,
        streamed=streamed,
        finish_reason=choice.get("finish_reason"),
        native_finish_reason=choice.get("native_finish_reason"),
        started_at=time.time(),
        latency_ms=0,
        duration_ms=0,
        headers=scene.outlet.entry.headers,
        ended_mono_ns=time.monotonic_ns(),
    )
