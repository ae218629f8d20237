"""OpenAI's Responses request in chat's words."""

from __future__ import annotations

from typing import Any

from app.sandbox import refusals, tokens
from app.sandbox.wire import Json

_PARTS = {"input_text": "text", "output_text": "text", "summary_text": "text"}
_DROPPED = ("input", "instructions", "tools", "text", "max_output_tokens", "prompt")


def to_chat(fields: Json) -> Json:
    """The same wish as a chat; refused with 400 where it makes none."""
    given = fields.get("input")
    if not isinstance(given, (str, list)) or not given:
        raise refusals.error(400, "Invalid Responses API request: input is required")
    chat = {name: value for name, value in fields.items() if name not in _DROPPED}
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    said = [message for item in items for message in _messages(item)]
    if not said:
        raise refusals.error(400, "Invalid Responses API request: input holds no message")
    instructions = fields.get("instructions")
    chat["messages"] = [{"role": "system", "content": instructions}, *said] if instructions else said
    chat["max_tokens"] = fields.get("max_output_tokens")
    chat["tools"] = [_tool(each) for each in fields.get("tools") or () if each.get("type") == "function"]
    form = (fields.get("text") or {}).get("format") or {}
    if form.get("type") == "json_schema":
        chat["response_format"] = {"type": "json_schema", "json_schema": {"schema": form.get("schema")}}
    elif form.get("type") == "json_object":
        chat["response_format"] = {"type": "json_object"}
    return chat


def _messages(item: Any) -> list[Json]:
    if not isinstance(item, dict):
        raise refusals.error(400, "Invalid Responses API request: each item of the input must be an object")
    match item.get("type", "message"):
        case "message":
            return [{"role": item.get("role"), "content": _content(item.get("content"))}]
        case "function_call":
            called = {"name": item.get("name"), "arguments": item.get("arguments")}
            return [{"role": "assistant", "content": None, "tool_calls": [{"function": called}]}]
        case "function_call_output":
            return [{"role": "tool", "content": tokens.text_of(_content(item.get("output")))}]
    return []


def _content(content: Any) -> Any:
    if not isinstance(content, list):
        return content
    return [
        {**part, "type": _PARTS.get(str(part.get("type")), part.get("type"))}
        for part in content
        if isinstance(part, dict)
    ]


def _tool(tool: Json) -> Json:
    function = {name: tool.get(name) for name in ("name", "description", "parameters")}
    return {"type": "function", "function": function}
