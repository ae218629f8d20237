"""Anthropic's request in chat's words."""

from __future__ import annotations

import json
from typing import Any

from app.sandbox import refusals, tokens
from app.sandbox.wire import Json

_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_MOST_FALLBACKS = 3


def to_chat(fields: Json) -> Json:
    """The same wish as a chat; refused with 400 where the specification says so."""
    messages = fields.get("messages")
    if not isinstance(fields.get("model"), str):
        raise refusals.error(400, "Invalid request: model is required")
    if not isinstance(messages, list) or not messages:
        raise refusals.error(400, "Invalid request: messages is required")
    chat = {name: value for name, value in fields.items() if name not in ("system", "fallbacks", "tools")}
    system = tokens.text_of(fields.get("system"))
    said = [part for message in messages for part in _messages(message)]
    chat["messages"] = [{"role": "system", "content": system}, *said] if system else said
    chat["models"] = _fallbacks(fields)
    chat["stop"] = fields.get("stop_sequences")
    chat["tools"] = [_tool(each) for each in fields.get("tools") or () if "input_schema" in each]
    chat["tool_choice"] = _choice(fields.get("tool_choice"))
    thinking = fields.get("thinking")
    if isinstance(thinking, dict) and thinking.get("type") in ("enabled", "adaptive"):
        chat["reasoning"] = {"enabled": True}
    return chat


def _fallbacks(fields: Json) -> list[str]:
    fallbacks, models = fields.get("fallbacks"), fields.get("models")
    if fallbacks is None:
        return list(models or [])
    if models:
        raise refusals.error(400, "Invalid request: fallbacks cannot be combined with models")
    if len(fallbacks) > _MOST_FALLBACKS or any(set(each) != {"model"} for each in fallbacks):
        raise refusals.error(400, "Invalid request: fallbacks must be at most 3 entries of {model}")
    return [each["model"] for each in fallbacks]


def _messages(message: Any) -> list[Json]:
    """One message for each block: the last text of the user's is the newest thing that was said."""
    if not isinstance(message, dict) or message.get("role") not in ("user", "assistant", "system"):
        raise refusals.error(400, "Invalid request: messages.role must be user or assistant")
    content, role = message.get("content"), message["role"]
    if isinstance(content, str):
        return [{"role": role, "content": content}]
    return [_block(role, block) for block in content or () if isinstance(block, dict)]


def _block(role: str, block: Json) -> Json:
    match block.get("type"):
        case "tool_use":
            called = {"name": block.get("name"), "arguments": json.dumps(block.get("input"), default=str)}
            return {"role": role, "content": None, "tool_calls": [{"id": block.get("id"), "function": called}]}
        case "tool_result":
            answer = tokens.text_of(block.get("content"))
            return {"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": answer}
        case "image":
            return {"role": role, "content": [{"type": "image_url", "image_url": {"url": ""}}]}
    return {"role": role, "content": str(block.get("text") or block.get("thinking") or "")}


def _tool(tool: Json) -> Json:
    function = {"name": tool.get("name"), "description": tool.get("description"), "parameters": tool["input_schema"]}
    return {"type": "function", "function": function}


def _choice(choice: Any) -> Any:
    if not isinstance(choice, dict):
        return None
    if choice.get("type") == "tool":
        return {"type": "function", "function": {"name": choice.get("name")}}
    return _CHOICES.get(str(choice.get("type")))
