from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from app.core.errors import BadRequest, UpstreamFailed
from app.core.estimate import affordable_tokens, hold_of
from app.core.meter import Reading, Usage
from app.core.sanitize import sanitize
from app.core.styles import CHAT, COMPLETIONS, EMBEDDINGS, MESSAGES, RESPONSES, STYLES, Style, style_of
from app.core.styles.parts import Attached
from tests.core.styles.streams import SAMPLES, metered, plain

ENTRY: dict[str, Any] = {
    "id": "a/b",
    "context_length": 1000,
    "pricing": {"prompt": "0.001", "completion": "0.01"},
    "top_provider": {"max_completion_tokens": 100},
}


def completion(text: str = "", finish: str | None = None, **members: Any) -> bytes:
    """One chunk of a completion."""
    choice = {"index": 0, "text": text, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "gen-1", "model": "m", "choices": [choice], **members}).encode() + b"\n\n"


def test_completion_stream() -> None:
    """A completion is whole with its finish_reason, and its text is its content."""
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "cost": 0.5}

    begun = metered(COMPLETIONS, completion("Hi"))
    ended = metered(COMPLETIONS, completion("Hi") + completion(finish="stop", usage=usage))

    assert (True, False) == (begun.has_content, begun.whole)
    assert ended.whole
    assert Usage(1, 2, 3, cost=500_000_000) == ended.usage


def test_completion_error_event() -> None:
    """A broken completion ends with a chunk of its own kind that carries the error."""
    told = json.loads(COMPLETIONS.error_event(UpstreamFailed("Broke"), Reading(), 5)[6:])

    assert ("text_completion", "error") == (told["object"], told["choices"][0]["finish_reason"])
    assert "Broke" == told["error"]["message"]


def test_completion_as_stream() -> None:
    """A plain completion where a stream was asked for becomes one."""
    answer = {"id": "gen-1", "choices": [{"index": 0, "text": "Hi", "finish_reason": "length"}]}

    stream = COMPLETIONS.as_stream(answer)

    assert stream is not None
    reading = metered(COMPLETIONS, stream)
    assert (True, True, "length") == (reading.has_content, reading.done, reading.finish_reason)


@pytest.mark.parametrize(
    ("body", "answers", "billed"),
    [
        ({"prompt": "a"}, 1, 1),
        ({"prompt": "a", "n": 3}, 3, 3),
        ({"prompt": ["a", "b"], "n": 2}, 4, 4),
        ({"prompt": [1, 2, 3]}, 1, 1),
        ({"prompt": "a", "best_of": 5, "n": 2}, 2, 5),
    ],
)
def test_completion_counts(body: dict[str, Any], answers: int, billed: int) -> None:
    """Every prompt has n answers, and what best_of makes is billed too."""
    assert (answers, billed) == (COMPLETIONS.answers(body), COMPLETIONS.billed(body))


def test_embeddings_recorded() -> None:
    """A recorded embedding tells its vectors, its id and its cost."""
    answer, reading = plain(EMBEDDINGS, (SAMPLES / "embeddings_2026.body.json.txt").read_bytes())

    assert 1 == len(EMBEDDINGS.said(answer) or ())
    assert ("gen-emb-1787150093-MHw3ComZXMuOz6TNknXt", "OpenAI") == (reading.generation_id, reading.provider)
    assert reading.usage is not None
    assert (7, 140) == (reading.usage.prompt_tokens, reading.usage.cost)


@pytest.mark.parametrize(
    ("style", "body", "param"),
    [
        (EMBEDDINGS, {"input": "a", "stream": True}, "stream"),
        (EMBEDDINGS, {"input": []}, "input"),
        (EMBEDDINGS, {}, "input"),
        (COMPLETIONS, {}, "prompt"),
        (COMPLETIONS, {"prompt": []}, "prompt"),
    ],
)
def test_refused(style: Style, body: dict[str, Any], param: str) -> None:
    """What cannot be meant is refused by the name of its field."""
    with pytest.raises(BadRequest) as caught:
        style.read({"model": "a/b", **body})

    assert param == caught.value.param


@pytest.mark.parametrize(
    ("style", "body", "tokens"),
    [
        (CHAT, {"max_tokens": 10}, 10),
        (CHAT, {"max_tokens": 10, "max_completion_tokens": 20}, 20),
        (MESSAGES, {"max_tokens": 10}, 10),
        (MESSAGES, {"max_output_tokens": 10}, 100),
        (RESPONSES, {"max_output_tokens": 10}, 10),
        (RESPONSES, {"max_tokens": 10}, 100),
        (COMPLETIONS, {"prompt": "a", "max_tokens": 10, "n": 2}, 20),
        (EMBEDDINGS, {"input": "a", "max_tokens": 10}, 0),
    ],
)
def test_hold(style: Style, body: dict[str, Any], tokens: int) -> None:
    """The hold is the prompt's price and that of the longest answer which the style's own field allows."""
    held = hold_of(ENTRY, {"model": "a/b", **body}, 20, unknown=1, style=style)

    assert Decimal(10) * Decimal("0.001") + Decimal("0.01") * tokens == Decimal(held.amount) / 10**9


def test_hold_of_many_inputs() -> None:
    """Each input of an embedding may be as long as the model takes."""
    one = hold_of(ENTRY, {"input": ["a"]}, 10_000, unknown=1, style=EMBEDDINGS)
    three = hold_of(ENTRY, {"input": ["a", "b", "c"]}, 10_000, unknown=1, style=EMBEDDINGS)

    assert (1_000_000_000, 3_000_000_000) == (one.amount, three.amount)


def test_affordable() -> None:
    """Nobody is told how long a vector could still be afforded."""
    assert affordable_tokens(ENTRY, {"input": "a"}, 20, 10**9, style=EMBEDDINGS) is None
    assert 99 == affordable_tokens(ENTRY, {"input": "a"}, 20, 10**9, style=RESPONSES)


PICTURE = "A" * 100


@pytest.mark.parametrize(
    ("style", "body", "expected"),
    [
        (MESSAGES, [{"type": "image", "source": {"type": "base64", "data": PICTURE}}], Attached(1, 1, 100)),
        (MESSAGES, [{"type": "image", "source": {"type": "url", "url": "https://x"}}], Attached(1, 1, 0)),
        (MESSAGES, [{"type": "document", "source": {"type": "base64", "data": PICTURE}}], Attached(1, 0, 100)),
        (MESSAGES, [{"type": "document", "source": {"type": "text", "data": PICTURE}}], Attached()),
        (
            MESSAGES,
            [{"type": "tool_result", "content": [{"type": "image", "source": {"data": PICTURE}}]}],
            Attached(1, 1, 100),
        ),
        (RESPONSES, [{"type": "input_image", "image_url": f"data:{PICTURE}"}], Attached(1, 1, 105)),
        (RESPONSES, [{"type": "input_file", "file_id": "file_1"}], Attached(1, 0, 0)),
        (CHAT, [{"type": "image_url", "image_url": {"url": f"data:{PICTURE}"}}], Attached(1, 1, 105)),
    ],
)
def test_attached(style: Style, body: list[Any], expected: Attached) -> None:
    """Pictures and files are known in every style, and their bytes are no text."""
    assert expected == style.attached({str(style.talk): [{"role": "user", "content": body}]})


@pytest.mark.parametrize(
    ("path", "style"),
    [
        ("/v1/messages", MESSAGES),
        ("/api/v1/messages/count_tokens", MESSAGES),
        ("/api/openrouter/responses", RESPONSES),
        ("/v1/models", CHAT),
        ("/nothing/messages", CHAT),
        ("/", CHAT),
    ],
)
def test_style_of(path: str, style: Style) -> None:
    """A path tells in which style its errors are read."""
    assert style is style_of(path)


def test_table() -> None:
    """Five styles, each by its own path."""
    assert {"/chat/completions", "/messages", "/responses", "/completions", "/embeddings"} == set(STYLES)


@pytest.mark.parametrize(
    ("style", "body"),
    [
        (MESSAGES, {"messages": [{"role": "tool", "content": "x"}]}),
        (RESPONSES, {"input": [{"role": "wizard", "content": "x"}]}),
    ],
)
def test_unknown_roles(style: Style, body: dict[str, Any]) -> None:
    """A role that the style does not have is refused."""
    with pytest.raises(BadRequest):
        sanitize(body, "check", 10, style)


@pytest.mark.parametrize(
    ("style", "body", "expected", "told"),
    [
        (
            MESSAGES,
            {"system": "abcdef", "messages": [{"role": "user", "content": [{"type": "text", "text": "uvwxyz"}]}]},
            {"system": "abc", "messages": [{"role": "user", "content": [{"type": "text", "text": "uvw"}]}]},
            "dropped=0; cut=2",
        ),
        (RESPONSES, {"input": "abcdef"}, {"input": "abc"}, "dropped=0; cut=1"),
        (
            RESPONSES,
            {"input": [{"type": "function_call_output", "output": "x"}, {"role": "user", "content": "ab"}]},
            {"input": [{"role": "user", "content": "ab"}]},
            "dropped=1; cut=0",
        ),
    ],
)
def test_strict(style: Style, body: dict[str, Any], expected: dict[str, Any], told: str) -> None:
    """Under `strict` texts are cut and what is no message is dropped, in the style's own fields."""
    done = sanitize(body, "strict", 3, style)

    assert (expected, told) == (done.body, done.told)


@pytest.mark.parametrize("style", [COMPLETIONS, EMBEDDINGS])
def test_no_roles(style: Style) -> None:
    """Styles without roles pass as they are."""
    body = {"prompt": "abcdef", "input": "abcdef"}

    assert body == sanitize(body, "strict", 3, style).body
