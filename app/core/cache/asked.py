"""Which calls may be answered from the cache, and when two calls are the same."""

from __future__ import annotations

import hashlib
import json

from app.core.calls import Call
from app.core.errors import Json
from app.core.styles import COMPLETIONS, EMBEDDINGS

_NEVER = (
    "tools", "tool_choice", "functions", "function_call", "stop_server_tools_when", "plugins", "web_search_options",
    "mcp_servers", "container", "audio", "image_config", "preset", "previous_response_id", "conversation",
)  # fmt: skip
"""Fields that bring tools, pictures or sound, or point to what is kept elsewhere and may have changed."""

_OF_TOOLS = ("tool_calls", "tool_call_id", "function_call", "audio", "images", "annotations")
"""What makes a message more than its text; `annotations` are those of a file that was read."""

_TEXTS = frozenset(
    {"text", "input_text", "output_text", "thinking", "redacted_thinking", "reasoning", "reasoning_text", "refusal"}
)
"""The parts of a message that are text in some API style."""

_ITEMS = frozenset({None, "message", "reasoning"})
"""The items of a Responses input that are text."""


def suits(call: Call) -> bool:
    """
    Whether an answer to this call may be given again: text is asked for and text alone stands in it.

    Every kind of part, item or role that is not known to be text counts as something else.
    """
    body = call.body
    if any(body.get(name) for name in _NEVER) or body.get("modalities") not in (None, [], ["text"]):
        return False
    # ":online" searches the web, and what stands in a preset ("@") may be changed at OpenRouter.
    if any(model.endswith(":online") or "@" in model for model in call.plan.models):
        return False
    if call.style in (COMPLETIONS, EMBEDDINGS):
        return all(_is_words(body.get(name)) for name in ("prompt", "input")) and not body.get("messages")
    preamble = body.get(call.style.preamble) if call.style.preamble is not None else None
    talk = body.get(call.style.talk or "messages")
    return (
        isinstance(body.get("prompt"), (str, type(None)))
        and _is_text(preamble)
        and (talk is None or isinstance(talk, str) or (isinstance(talk, list) and all(map(_says_text, talk))))
    )


def key(call: Call) -> bytes:
    """
    A digest of all that the answer may depend on: equal for the same call only.

    The order of an object's members and white space are all that does not count. What an agent brings stands in the
    body and the chain, so that a changed agent makes another call.
    """
    plan = call.plan
    asked = [
        call.endpoint,
        call.stream,
        call.agent,
        plan.models,
        [plan.past_policy, plan.clamp],
        dict(call.headers),
        call.body,
    ]
    return hashlib.sha256(json.dumps(asked, sort_keys=True, separators=(",", ":")).encode()).digest()


def _is_words(prompt: Json) -> bool:
    """A prompt, or several: texts or tokens."""
    if isinstance(prompt, list):
        return all(map(_is_words, prompt))
    return prompt is None or isinstance(prompt, (str, int))


def _says_text(message: Json) -> bool:
    if not isinstance(message, dict) or any(message.get(name) for name in _OF_TOOLS):
        return False
    is_of_tool = message.get("role") in ("tool", "function")
    return not is_of_tool and message.get("type") in _ITEMS and _is_text(message.get("content"))


def _is_text(content: Json) -> bool:
    if isinstance(content, list):
        return all(isinstance(part, dict) and part.get("type") in _TEXTS for part in content)
    return content is None or isinstance(content, str)
