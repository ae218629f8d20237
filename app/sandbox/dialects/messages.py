"""`POST /messages`, Anthropic's style: shapes of the specification of 2026-08-22."""

from __future__ import annotations

import json
from typing import Any

from app.sandbox import tokens, wire
from app.sandbox.dialects import asked_messages
from app.sandbox.dialects.base import Dialect, Part
from app.sandbox.refusals import RefusedError
from app.sandbox.shapes import Reply, sliced
from app.sandbox.wire import Json, dollars

_STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    524: "timeout_error",
    529: "overloaded_error",
}


class Messages(Dialect):
    """Events have names; a stream ends with message_stop."""

    path = "/messages"
    end = b'event: message_stop\ndata: {"type":"message_stop"}'

    def to_chat(self, fields: Json) -> Json:
        """System text, blocks and tools in chat's words."""
        return asked_messages.to_chat(fields)

    def frame(self, event: Json, number: int) -> bytes:
        """Name and data."""
        return b"event: %b\ndata: %b" % (event["type"].encode(), wire.dumps(event))

    def opening(self, reply: Reply) -> list[Json]:
        """The message, empty as yet."""
        usage = {**self._counts(reply, 0, 0), "output_tokens": 0}
        return [{"type": "message_start", "message": self._message(reply, [], None, usage)}]

    def parts(self, reply: Reply) -> list[Part]:
        """A block for the thinking, one for the text, one for each tool."""
        answer, found = reply.answer, list[Part]()
        if answer.reasoning and reply.shows_reasoning:
            deltas = [({"type": "thinking_delta", "thinking": text}, tokens.count(text)) for text in answer.reasoning]
            found += _block(0, {"type": "thinking", "thinking": "", "signature": ""}, deltas, thinking=True)
        index = 1 if found else 0
        if answer.pieces or not answer.tool_calls:
            deltas = [({"type": "text_delta", "text": text}, tokens.count(text)) for text in answer.pieces or ("",)]
            found += _block(index, {"type": "text", "text": "", "citations": None}, deltas)
            index += 1
        for call in answer.tool_calls:
            opening = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
            pieces = sliced(call.arguments) or [""]
            whole = tokens.count(call.name) + tokens.count(call.arguments)
            deltas = [({"type": "input_json_delta", "partial_json": piece}, 0) for piece in pieces]
            deltas[-1] = (deltas[-1][0], whole)
            found += _block(index, opening, deltas)
            index += 1
        return found

    def last(self, reply: Reply, spent: Json | None) -> list[Json]:
        """Why it stopped, and the usage."""
        delta = {"stop_reason": _STOPS[reply.answer.finish], "stop_sequence": None}
        told = spent if spent is not None else {"output_tokens": reply.answer.completion_tokens, "input_tokens": None}
        empty = {"container": None, "stop_details": None}
        return [{"type": "message_delta", "delta": {**empty, **delta}, "usage": told}]

    def plain(self, reply: Reply, spent: Json | None) -> Json:
        """The whole message."""
        answer, blocks = reply.answer, list[Json]()
        if answer.reasoning and reply.shows_reasoning:
            blocks.append({"type": "thinking", "thinking": "".join(answer.reasoning), "signature": ""})
        if answer.pieces or not answer.tool_calls:
            blocks.append({"type": "text", "text": answer.text, "citations": None})
        blocks += [
            {"type": "tool_use", "id": call.id, "name": call.name, "input": _decoded(call.arguments)}
            for call in answer.tool_calls
        ]
        usage = spent if spent is not None else {"input_tokens": reply.prompt_tokens, "output_tokens": 0}
        return self._message(reply, blocks, _STOPS[answer.finish], usage)

    def usage(self, reply: Reply, produced: int, thought: int) -> Json:
        """Anthropic's counts with OpenRouter's cost."""
        cost = dollars(reply.cost(produced))
        prompt = reply.price.prompt_cost(reply.prompt_tokens) if produced else 0
        return {
            **self._counts(reply, produced, thought),
            "cost": cost,
            "is_byok": False,
            "cost_details": {
                "upstream_inference_cost": cost,
                "upstream_inference_prompt_cost": dollars(prompt),
                "upstream_inference_completions_cost": dollars(reply.price.completion_cost(produced)),
            },
        }

    def absurd(self, tokens: int, cost: Any) -> Json:
        """Nonsense in the same words."""
        return {"input_tokens": tokens, "output_tokens": tokens, "cost": cost}

    def error(self, reply: Reply, error: Json, *, begun: bool) -> Json:
        """The documented event."""
        return {"type": "error", "error": _error(error)}

    def plain_error(self, reply: Reply, error: Json) -> Json:
        """Nothing but the error."""
        return {"type": "error", "error": _error(error), "request_id": reply.id}

    def broken(self, reply: Reply, count: int, error: Json) -> Json:
        """A message has no place for half of it beside an error."""
        return self.plain_error(reply, error)

    def nothing(self, reply: Reply) -> list[Json]:
        """A message without blocks."""
        return [*self.opening(reply), *self.last(reply, None)]

    def plain_nothing(self, reply: Reply) -> Json:
        """A message without blocks."""
        return {**self.plain(reply, None), "content": []}

    def refused(self, refused: RefusedError) -> RefusedError:
        """Anthropic's envelope around the same words; pages of other servers stay what they are."""
        content = refused.content
        error = content.get("error") if isinstance(content, dict) else None
        if not isinstance(error, dict):
            return refused
        beside = {name: error[name] for name in ("metadata",) if name in error}
        body = {"type": "error", "error": _error({"code": refused.status, **error}), "request_id": None, **beside}
        return RefusedError(refused.status, body, refused.headers)

    def _message(self, reply: Reply, blocks: list[Json], stop: str | None, usage: Json) -> Json:
        return {
            "id": reply.id,
            "type": "message",
            "role": "assistant",
            "model": reply.model.wire_name,
            "provider": reply.model.provider,
            "container": None,
            "content": blocks,
            "stop_reason": stop,
            "stop_details": None,
            "stop_sequence": None,
            "usage": usage,
        }

    def _counts(self, reply: Reply, produced: int, thought: int) -> Json:
        return {
            "input_tokens": reply.prompt_tokens,
            "output_tokens": produced,
            "output_tokens_details": {"thinking_tokens": thought} if thought else None,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": None,
            "inference_geo": None,
            "server_tool_use": None,
            "service_tier": "standard",
        }


def _block(index: int, opening: Json, deltas: list[tuple[Json, int]], *, thinking: bool = False) -> list[Part]:
    """A block: its first delta brings its start, its last one its end."""
    start = {"type": "content_block_start", "index": index, "content_block": opening}
    stop = {"type": "content_block_stop", "index": index}
    return [
        Part(
            {"type": "content_block_delta", "index": index, "delta": delta},
            count,
            thinking=thinking,
            before=(start,) if number == 0 else (),
            after=(stop,) if number == len(deltas) - 1 else (),
        )
        for number, (delta, count) in enumerate(deltas)
    ]


def _decoded(arguments: str) -> Any:
    try:
        return json.loads(arguments)
    except ValueError:
        return {}


def _error(error: Json) -> Json:
    code = error.get("code", error.get("http_status"))
    code = code if isinstance(code, int) else 500
    kind = _TYPES.get(code, "invalid_request_error" if code < 500 else "api_error")
    metadata = error.get("metadata") or {}
    named = error.get("error_type") or metadata.get("error_type")
    kept = {name: error[name] for name in ("availability",) if name in error}
    return {"type": kind, "message": error["message"], **({"error_type": named} if named else {}), **kept}
