"""What the sandbox says: text that depends on the prompt and on nothing else."""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass, replace
from typing import Any

from app.sandbox import schema, tokens
from app.sandbox.order import Order
from app.sandbox.wire import Json

_OPENINGS = (
    "Good question!",
    "Happy to help.",
    "Let us see.",
    "Thank you for asking.",
    "Here is what I think.",
    "Gladly.",
)
_CLOSINGS = (
    "Ask me anything else; it costs nothing real.",
    "The same words will always get this same answer.",
    "Nothing of this left your machine.",
)
_QUOTED_WORDS = 12
_MIN_TOOL_WORD = 3


@dataclass(frozen=True)
class ToolCall:
    """A call the model wants made, its arguments as JSON text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Answer:
    """A whole answer in the pieces a stream would send."""

    pieces: tuple[str, ...] = ()
    reasoning: tuple[str, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    finish: str = "stop"

    @property
    def text(self) -> str:
        """The content."""
        return "".join(self.pieces)

    @property
    def reasoning_tokens(self) -> int:
        """Tokens spent on thinking."""
        return sum(map(tokens.count, self.reasoning))

    @property
    def completion_tokens(self) -> int:
        """Tokens billed as output, thinking included."""
        calls = sum(tokens.count(call.name) + tokens.count(call.arguments) for call in self.tool_calls)
        return self.reasoning_tokens + sum(map(tokens.count, self.pieces)) + calls


def compose(order: Order, name: str) -> Answer:
    """The answer of the model called `name`: tool calls, JSON or text, as the request asks."""
    calls = () if order.override.text is not None else _tool_calls(order)
    thinking = tokens.pieces(_thoughts(order)) if order.wants_reasoning else ()
    if calls:
        return _limited(Answer((), thinking, calls, "tool_calls"), order.max_tokens)
    if order.override.events is not None and order.override.text is None:
        return Answer(numbered(order.override.events), thinking)
    text = _structured(order) if order.override.text is None else order.override.text
    if text is None:
        text = _stopped(_prose(order, name), order.fields.get("stop"))
    pieces = tokens.pieces(text)
    if order.override.events is not None:
        pieces = (pieces or ("word ",)) * order.override.events
        pieces = pieces[: order.override.events]
    return _limited(Answer(pieces, thinking), order.max_tokens)


def numbered(count: int) -> tuple[str, ...]:
    """So many short pieces, each telling its number."""
    return tuple(f"{number} " for number in range(1, count + 1))


def _limited(answer: Answer, limit: int | None) -> Answer:
    if limit is None or answer.completion_tokens <= limit:
        return answer
    reasoning = tokens.clip(answer.reasoning, limit)
    left = limit - sum(map(tokens.count, reasoning))
    if answer.tool_calls:
        first = answer.tool_calls[0]
        room = max(0, left - tokens.count(first.name))
        short = "".join(tokens.clip(tokens.pieces(first.arguments), room))
        return replace(answer, reasoning=reasoning, tool_calls=(replace(first, arguments=short),), finish="length")
    return replace(answer, reasoning=reasoning, pieces=tokens.clip(answer.pieces, left), finish="length")


def _stopped(text: str, stop: Any) -> str:
    marks = [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else []
    places = [text.find(mark) for mark in marks if isinstance(mark, str) and mark]
    return text[: min((place for place in places if place >= 0), default=len(text))]


def _pick(options: tuple[str, ...], seed: str) -> str:
    return options[zlib.crc32(seed.encode(errors="replace")) % len(options)]


def _prose(order: Order, name: str) -> str:
    last = order.messages[-1]
    if last["role"] in {"tool", "function"}:
        return f"The tool answered: {_excerpt(tokens.text_of(last.get('content')))} I hope that helps."
    said = order.last_user_text
    pictures = sum(tokens.pictures_in(message.get("content")) for message in order.messages)
    seen = f" I can see {pictures} image{'s' if pictures > 1 else ''} in it." if pictures else ""
    words = len(said.split())
    return (
        f"{_pick(_OPENINGS, said)} You wrote: “{_excerpt(said)}”, which is {words} word{'' if words == 1 else 's'} "
        f"to me.{seen} I am the sandbox, standing in for {name}. {_pick(_CLOSINGS, said[::-1])}"
    )


def _excerpt(text: str) -> str:
    words = text.split()
    return " ".join(words[:_QUOTED_WORDS]) + (" …" if len(words) > _QUOTED_WORDS else "")


def _thoughts(order: Order) -> str:
    return f"The user wants an answer to: {_excerpt(order.last_user_text)} I will keep it short and friendly."


def _structured(order: Order) -> str | None:
    wanted = order.fields.get("response_format")
    if not isinstance(wanted, dict):
        return None
    if wanted.get("type") == "json_object":
        return _json({"answer": _excerpt(order.last_user_text)})
    if wanted.get("type") == "json_schema":
        return _json(schema.instance((wanted.get("json_schema") or {}).get("schema") or {}))
    return None


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=float)


def _tool_calls(order: Order) -> tuple[ToolCall, ...]:
    functions = [tool["function"] for tool in order.fields.get("tools") or () if _is_function(tool)]
    choice = order.fields.get("tool_choice") or "auto"
    if not functions or choice == "none" or order.messages[-1]["role"] not in {"user", "system", "developer"}:
        return ()
    chosen = [each for each in functions if _is_named(each["name"], order.last_user_text)]
    if isinstance(choice, dict):
        name = (choice.get("function") or choice).get("name")
        chosen = [each for each in functions if each["name"] == name]
    elif choice == "required":
        chosen = chosen or functions[:1]
    if order.fields.get("parallel_tool_calls") is False:
        chosen = chosen[:1]
    return tuple(_call(each, number) for number, each in enumerate(chosen))


def _is_function(tool: Any) -> bool:
    return isinstance(tool, dict) and isinstance(tool.get("function"), dict) and "name" in tool["function"]


def _is_named(name: str, text: str) -> bool:
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    said = set(re.findall(r"[a-z]+", text.lower()))
    return any(len(part) >= _MIN_TOOL_WORD and part.lower() in said for part in parts)


def _call(function: Json, number: int) -> ToolCall:
    arguments = schema.instance(function.get("parameters") or {"type": "object"})
    mark = zlib.crc32(f"{number}{function['name']}".encode(errors="replace"))
    return ToolCall(f"call_sandbox_{number}{mark:08x}", function["name"], _json(arguments or {}))
