"""The shapes of chat answers on the wire, fields and order as recorded 2026-06-08."""

from __future__ import annotations

import secrets
import string
import time
from dataclasses import dataclass, field
from typing import Any

from app.sandbox import tokens
from app.sandbox.answers import Answer
from app.sandbox.catalogue import Model
from app.sandbox.pricing import Price
from app.sandbox.wire import Json, dollars

_ALPHABET = string.ascii_letters + string.digits
_PIECE_OF_ARGUMENTS = 16
_NATIVE = {
    "anthropic": {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"},
    "google": {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP"},
}


def new_id() -> str:
    """An id such as OpenRouter gives: the second it began and twenty random characters."""
    tail = "".join(secrets.choice(_ALPHABET) for _ in range(20))
    return f"gen-{int(time.time())}-{tail}"


@dataclass(frozen=True)
class Reply:
    """An answer with everything needed to write it down and to charge it."""

    model: Model
    answer: Answer
    prompt_tokens: int
    price: Price
    shows_reasoning: bool = True
    fields: Json = field(default_factory=dict)
    """The request, as it came."""
    bills_prompt_only: bool = False
    """Its answers have no tokens, and the prompt is paid for all the same."""
    id: str = field(default_factory=new_id)
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def tail(self) -> str:
        """What makes its id its own."""
        return self.id[-12:].lower()

    @property
    def native_finish(self) -> str:
        """The finish reason in the provider's own word."""
        return _NATIVE.get(self.model.author, {}).get(self.answer.finish, self.answer.finish)

    def cost(self, completion_tokens: int) -> int:
        """Nano-dollars for the prompt and so many answer tokens; nothing without any (zero-completion insurance)."""
        if not completion_tokens and not self.bills_prompt_only:
            return 0
        return self.price.prompt_cost(self.prompt_tokens) + self.price.completion_cost(completion_tokens)


@dataclass(frozen=True)
class Part:
    """One delta of a stream and the tokens it is worth."""

    delta: Json
    tokens: int = 0
    thinking: bool = False


def parts(reply: Reply) -> list[Part]:
    """The deltas of a reply: thinking first, then words, then tool calls in pieces."""
    answer = reply.answer
    found = [_thought(text, reply.shows_reasoning) for text in answer.reasoning]
    found += [Part({"content": text, "role": "assistant"}, tokens.count(text)) for text in answer.pieces]
    for index, call in enumerate(answer.tool_calls):
        function: Json = {"name": call.name, "arguments": ""}
        opening = {"index": index, "id": call.id, "type": "function", "function": function}
        found.append(Part(_called(opening), tokens.count(call.name)))
        chunks = sliced(call.arguments)
        left = tokens.count(call.arguments)
        for position, chunk in enumerate(chunks):
            share = left if position == len(chunks) - 1 else min(left, tokens.count(chunk))
            left -= share
            found.append(Part(_called({"index": index, "function": {"arguments": chunk}}), share))
    return found or [Part({"content": "", "role": "assistant"})]


def _thought(text: str, shown: bool) -> Part:
    delta: Json = {"content": "", "role": "assistant"}
    if shown:
        detail = {"type": "reasoning.text", "text": text, "index": 0, "format": None}
        delta |= {"reasoning": text, "reasoning_details": [detail]}
    return Part(delta, tokens.count(text), thinking=True)


def _called(call: Json) -> Json:
    return {"content": None, "role": "assistant", "tool_calls": [call]}


def sliced(text: str) -> list[str]:
    """A tool's arguments in the pieces that a stream sends."""
    return [text[at : at + _PIECE_OF_ARGUMENTS] for at in range(0, len(text), _PIECE_OF_ARGUMENTS)]


def usage(reply: Reply, completion_tokens: int, reasoning_tokens: int) -> Json:
    """The usage object, its money exact."""
    prompt = reply.price.prompt_cost(reply.prompt_tokens) if completion_tokens else 0
    total = dollars(reply.cost(completion_tokens))
    return {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": reply.prompt_tokens + completion_tokens,
        "cost": total,
        "is_byok": False,
        "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0, "audio_tokens": 0, "video_tokens": 0},
        "cost_details": {
            "upstream_inference_cost": total,
            "upstream_inference_prompt_cost": dollars(prompt),
            "upstream_inference_completions_cost": dollars(reply.price.completion_cost(completion_tokens)),
        },
        "completion_tokens_details": {"reasoning_tokens": reasoning_tokens, "image_tokens": 0, "audio_tokens": 0},
    }


def chunk(reply: Reply, delta: Json, finish: str | None = None, native: str | None = None, **more: Any) -> Json:
    """One event of a stream; `more` goes beside `choices`."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "native_finish_reason": native}
    head = {"id": reply.id, "object": "chat.completion.chunk", "created": reply.created}
    return {**head, "model": reply.model.wire_name, "provider": reply.model.provider, "choices": [choice], **more}


def last_chunk(reply: Reply, spent: Json) -> Json:
    """The event that carries the usage: one choice with an empty delta, the finish reason repeated."""
    told = chunk(reply, {"content": "", "role": "assistant"}, reply.answer.finish, reply.native_finish)
    choices = told.pop("choices")
    return {**told, "service_tier": None, "choices": choices, "usage": spent}


def completion(reply: Reply, spent: Json | None) -> Json:
    """A plain answer."""
    answer = reply.answer
    thoughts = "".join(answer.reasoning) if reply.shows_reasoning and answer.reasoning else None
    message: Json = {
        "role": "assistant",
        "content": None if answer.tool_calls else answer.text,
        "refusal": None,
        "reasoning": thoughts,
    }
    if thoughts:
        message["reasoning_details"] = [{"type": "reasoning.text", "text": thoughts, "index": 0, "format": None}]
    if answer.tool_calls:
        message["tool_calls"] = [
            {
                "type": "function",
                "index": index,
                "id": call.id,
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for index, call in enumerate(answer.tool_calls)
        ]
    choice = {"index": 0, "logprobs": None, "finish_reason": answer.finish, "native_finish_reason": reply.native_finish}
    body: Json = {"id": reply.id, "object": "chat.completion", "created": reply.created}
    body |= {"model": reply.model.wire_name, "provider": reply.model.provider}
    body |= {"system_fingerprint": None, "service_tier": None, "choices": [{**choice, "message": message}]}
    return body if spent is None else {**body, "usage": spent}
