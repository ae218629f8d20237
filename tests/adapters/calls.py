"""Reports of calls, for the sinks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.core.calls import CallReport
from app.core.meter import Usage


def attempt(model: str = "openai/gpt-4", reason: str = "answered", status: int = 200) -> Mapping[str, object]:
    """One attempt of a call's report."""
    return {"model": model, "status": status, "reason": reason, "sent": True, "seconds": 1.4}


def report(**facts: Any) -> CallReport:
    """A call that was answered at once, but for these facts."""
    whole: dict[str, Any] = {
        "call_id": "call_1",
        "app": "editor",
        "endpoint": "/chat/completions",
        "model": "openai/gpt-4",
        "fallbacks": ("google/gemini",),
        "stream": True,
        "status": 200,
        "outcome": "answered",
        "duration_s": 1.5,
        "first_byte_s": 0.25,
        "served_model": "openai/gpt-4-0613",
        "provider": "OpenAI",
        "generation_id": "gen-1",
        "attempts": (attempt(),),
        "usage": Usage(
            prompt_tokens=30, completion_tokens=40, total_tokens=70, cached_tokens=10, reasoning_tokens=20, cost=81_000
        ),
        "overhead_s": 0.002,
    }
    return CallReport(**{**whole, **facts})
