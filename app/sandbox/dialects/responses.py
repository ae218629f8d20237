"""`POST /responses`, OpenAI's newer style: events as recorded 2026-08-04."""

from __future__ import annotations

from typing import Any

from app.sandbox import tokens, wire
from app.sandbox.answers import ToolCall
from app.sandbox.dialects import asked_responses
from app.sandbox.dialects.base import Dialect, Part
from app.sandbox.refusals import RefusedError
from app.sandbox.shapes import Reply, sliced
from app.sandbox.wire import Json, dollars

_WORDS = {400: "invalid_prompt", 429: "rate_limit_exceeded"}


class Responses(Dialect):
    """Events are numbered; a stream ends with response.completed (or .incomplete) and [DONE]."""

    path = "/responses"

    def to_chat(self, fields: Json) -> Json:
        """Input, instructions and tools in chat's words."""
        return asked_responses.to_chat(fields)

    def frame(self, event: Json, number: int) -> bytes:
        """The data, with its number."""
        return b"data: " + wire.dumps({**event, "sequence_number": number})

    def opening(self, reply: Reply) -> list[Json]:
        """The response, empty as yet, twice."""
        kinds = ("response.created", "response.in_progress")
        return [{"type": kind, "response": self._response(reply, "in_progress", [], None)} for kind in kinds]

    def parts(self, reply: Reply) -> list[Part]:
        """The thinking, the text and the functions' calls, each an item."""
        found, answer = list[Part](), reply.answer
        for index, item in enumerate(_items(reply)):
            match item["type"]:
                case "reasoning":
                    found += _spoken(index, item, "reasoning_text", answer.reasoning, thinking=True)
                case "message":
                    found += _spoken(index, item, "output_text", answer.pieces or ("",))
                case _:
                    found += _called(index, item)
        return found

    def last(self, reply: Reply, spent: Json | None) -> list[Json]:
        """The whole response once more, with the usage."""
        whole = self.plain(reply, spent)
        return [{"type": f"response.{whole['status']}", "response": whole}]

    def plain(self, reply: Reply, spent: Json | None) -> Json:
        """The whole response; one that reached max_output_tokens is incomplete."""
        status = "incomplete" if reply.answer.finish == "length" else "completed"
        return self._response(reply, status, _items(reply), spent)

    def usage(self, reply: Reply, produced: int, thought: int) -> Json:
        """OpenAI's counts with OpenRouter's cost."""
        cost = dollars(reply.cost(produced))
        prompt = reply.price.prompt_cost(reply.prompt_tokens) if produced else 0
        return {
            "input_tokens": reply.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": produced,
            "output_tokens_details": {"reasoning_tokens": thought},
            "total_tokens": reply.prompt_tokens + produced,
            "cost": cost,
            "is_byok": False,
            "cost_details": {
                "upstream_inference_cost": cost,
                "upstream_inference_input_cost": dollars(prompt),
                "upstream_inference_output_cost": dollars(reply.price.completion_cost(produced)),
            },
        }

    def absurd(self, tokens: int, cost: Any) -> Json:
        """Nonsense in the same words."""
        details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
        return {"input_tokens": tokens, "output_tokens": tokens, "total_tokens": tokens, "cost": cost, **details}

    def error(self, reply: Reply, error: Json, *, begun: bool) -> Json:
        """response.failed for a response that had begun, an error event before that."""
        told = {"code": _WORDS.get(error["code"], "server_error"), "message": error["message"]}
        if not begun:
            return {"type": "error", **told, "param": None}
        failed = self._response(reply, "failed", [], None)
        return {"type": "response.failed", "response": {**failed, "error": told}}

    def plain_error(self, reply: Reply, error: Json) -> Json:
        """Nothing but the error."""
        return {"error": error}

    def broken(self, reply: Reply, count: int, error: Json) -> Json:
        """A response that failed, with what there is of it."""
        told = {"code": _WORDS.get(error["code"], "server_error"), "message": error["message"]}
        items = [_message(reply, "".join(reply.answer.pieces[:count]))]
        return {**self._response(reply, "failed", items, None), "error": told}

    def nothing(self, reply: Reply) -> list[Json]:
        """A response without items."""
        closing = {"type": "response.completed", "response": self._response(reply, "completed", [], None)}
        return [*self.opening(reply), closing]

    def plain_nothing(self, reply: Reply) -> Json:
        """A response without items."""
        return self._response(reply, "completed", [], None)

    def refused(self, refused: RefusedError) -> RefusedError:
        """The usual envelope, the error's name at the top."""
        content = refused.content
        error = content.get("error") if isinstance(content, dict) else None
        named = (error.get("metadata") or {}).get("error_type") if isinstance(error, dict) else None
        if not isinstance(content, dict) or named is None:
            return refused
        return RefusedError(refused.status, {**content, "error_type": named}, refused.headers)

    def _response(self, reply: Reply, status: str, items: list[Json], spent: Json | None) -> Json:
        fields = reply.fields
        over = status in ("completed", "incomplete")
        return {
            "id": reply.id,
            "object": "response",
            "created_at": reply.created,
            "model": reply.model.wire_name,
            "status": status,
            "completed_at": reply.created if over else None,
            "output": items,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "tools": fields.get("tools") or [],
            "tool_choice": fields.get("tool_choice") or "auto",
            "parallel_tool_calls": fields.get("parallel_tool_calls", True),
            "max_output_tokens": fields.get("max_output_tokens"),
            "temperature": fields.get("temperature", 1),
            "top_p": fields.get("top_p", 1),
            "presence_penalty": 0,
            "frequency_penalty": 0,
            "top_logprobs": 0,
            "max_tool_calls": None,
            "metadata": fields.get("metadata") or {},
            "background": False,
            "previous_response_id": None,
            "service_tier": "auto",
            "truncation": "disabled",
            "store": False,
            "instructions": fields.get("instructions"),
            "text": fields.get("text") or {"format": {"type": "text"}},
            "reasoning": fields.get("reasoning"),
            "safety_identifier": None,
            "prompt_cache_key": fields.get("prompt_cache_key"),
            "prompt_cache_options": None,
            "usage": spent,
        }


def _items(reply: Reply) -> list[Json]:
    answer = reply.answer
    found: list[Json] = []
    if answer.reasoning and reply.shows_reasoning:
        text = {"type": "reasoning_text", "text": "".join(answer.reasoning)}
        found.append({"id": f"rs_tmp_{reply.tail}", "type": "reasoning", "summary": [], "content": [text]})
    if answer.pieces or not answer.tool_calls:
        found.append(_message(reply, answer.text))
    return found + [_call(reply, number, call) for number, call in enumerate(answer.tool_calls)]


def _message(reply: Reply, text: str) -> Json:
    content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
    head = {"id": f"msg_tmp_{reply.tail}", "type": "message", "role": "assistant", "status": "completed"}
    return {**head, "content": content}


def _call(reply: Reply, number: int, call: ToolCall) -> Json:
    head = {"id": f"fc_tmp_{reply.tail}{number}", "type": "function_call", "status": "completed"}
    return {**head, "call_id": call.id, "name": call.name, "arguments": call.arguments}


def _spoken(index: int, item: Json, kind: str, pieces: tuple[str, ...], *, thinking: bool = False) -> list[Part]:
    """An item that is said piece by piece."""
    place = {"output_index": index, "item_id": item["id"], "content_index": 0}
    (whole,) = item["content"]
    opened = {**item, "content": []} if thinking else {**item, "status": "in_progress", "content": []}
    logprobs: Json = {} if thinking else {"logprobs": []}
    before = (
        {"type": "response.output_item.added", "output_index": index, "item": opened},
        {"type": "response.content_part.added", **place, "part": {**whole, "text": ""}},
    )
    after = (
        {"type": f"response.{kind}.done", **place, "text": whole["text"], **logprobs},
        {"type": "response.content_part.done", **place, "part": whole},
        {"type": "response.output_item.done", "output_index": index, "item": item},
    )
    return [
        Part(
            {"type": f"response.{kind}.delta", **place, "delta": piece, **logprobs},
            tokens.count(piece),
            thinking=thinking,
            before=before if number == 0 else (),
            after=after if number == len(pieces) - 1 else (),
        )
        for number, piece in enumerate(pieces)
    ]


def _called(index: int, item: Json) -> list[Part]:
    """A function's call, its arguments in pieces."""
    place = {"output_index": index, "item_id": item["id"]}
    opened = {**item, "status": "in_progress", "arguments": ""}
    before = ({"type": "response.output_item.added", "output_index": index, "item": opened},)
    done = {**place, "name": item["name"], "arguments": item["arguments"]}
    after = (
        {"type": "response.function_call_arguments.done", **done},
        {"type": "response.output_item.done", "output_index": index, "item": item},
    )
    pieces = sliced(item["arguments"]) or [""]
    worth = tokens.count(item["name"]) + tokens.count(item["arguments"])
    return [
        Part(
            {"type": "response.function_call_arguments.delta", **place, "delta": piece},
            worth if number == len(pieces) - 1 else 0,
            before=before if number == 0 else (),
            after=after if number == len(pieces) - 1 else (),
        )
        for number, piece in enumerate(pieces)
    ]
