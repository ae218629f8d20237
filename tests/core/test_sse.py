from __future__ import annotations

import itertools
import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai._streaming import SSEDecoder

from app.core.sse import SseDecoder, head, split
from tests.core.quick import cut, cuts, quick

LINE_ENDS = (b"\n", b"\r", b"\r\n")
BOM = b"\xef\xbb\xbf"

text = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=8)
field = st.sampled_from(["data: ", "data:", "data", "datum: ", "event: ", "id: ", "retry: ", ": ", ":", " data: "])
line = st.builds(lambda name, value: (name + value).encode(), field, text) | st.just(b"")
pile = st.lists(st.tuples(line, st.sampled_from(LINE_ENDS)), max_size=20).map(
    lambda lines: b"".join(content + end for content, end in lines)
)
"""Any lines at all, each with an end of its own."""

event_lines = st.lists(text, min_size=1, max_size=3)
well_formed = st.lists(st.tuples(event_lines, st.sampled_from(LINE_ENDS)), max_size=8)
"""Events of data lines; each event has one kind of line end."""


def decode(*chunks: bytes) -> list[bytes]:
    """The data of all events in these chunks."""
    decoder = SseDecoder()
    return [data for chunk in chunks for data in decoder.feed(chunk)]


def write(events: list[tuple[list[str], bytes]]) -> bytes:
    """A stream of these events."""
    return b"".join(b"".join(f"data: {data}".encode() + end for data in lines) + end for lines, end in events)


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        pytest.param(b"data: a\n\n", [b"a"], id="one"),
        pytest.param(b"data: a\n\ndata: b\n\n", [b"a", b"b"], id="two"),
        pytest.param(b"data: a\ndata: b\n\n", [b"a\nb"], id="two lines"),
        pytest.param(b"data:a\n\n", [b"a"], id="no space"),
        pytest.param(b"data:  a \n\n", [b" a "], id="only one space goes"),
        pytest.param(b"data\n\n", [b""], id="no colon"),
        pytest.param(b": OPENROUTER PROCESSING\n\n", [], id="comment"),
        pytest.param(b"event: e\nid: 1\nretry: 5\ndata: a\n\n", [b"a"], id="other fields"),
        pytest.param(b"event: ping\n\n", [], id="no data"),
        pytest.param(b"data2: a\nDATA: b\n data: c\n\n", [], id="other names"),
        pytest.param(b"data: a\n", [], id="unfinished"),
        pytest.param(b"data: a\r\rdata: b\r\n\r\ndata: c\n\n", [b"a", b"b", b"c"], id="all line ends"),
        pytest.param(b"data: a\n\rdata: b\r\n\n", [b"a", b"b"], id="mixed line ends"),
        pytest.param(BOM + b"data: a\n\n", [b"a"], id="byte order mark"),
        pytest.param(b"\n" + BOM + b"data: a\n\n", [], id="byte order mark later"),
        pytest.param(b"data: \xe2\x80\xa8\xff\n\n", [b"\xe2\x80\xa8\xff"], id="U+2028 and no UTF-8"),
        pytest.param(b"\n\n\ndata: a\n\n\n\n", [b"a"], id="more blank lines"),
        pytest.param(b"data: {\n\n", [b"{"], id="not JSON"),
    ],
)
def test_decoder(stream: bytes, events: list[bytes]) -> None:
    """Events are decoded as the standard says, whole or byte by byte."""
    single_bytes = [stream[at : at + 1] for at in range(len(stream))]

    assert events == decode(stream)
    assert events == decode(*single_bytes)


@given(pile, st.booleans(), cuts)
@quick
def test_decoder_on_cut_streams(stream: bytes, marked: bool, where: list[float]) -> None:
    """A stream that is cut anywhere has the events of the uncut one."""
    stream = BOM + stream if marked else stream

    assert decode(stream) == decode(*cut(stream, where))


@given(st.binary(max_size=60).map(lambda noise: noise.replace(b"a", b"\r").replace(b"b", b"\ndata:")), cuts)
@quick
def test_decoder_on_noise(stream: bytes, where: list[float]) -> None:
    """Bytes that are no event stream do no harm, cut or uncut."""
    assert decode(stream) == decode(*cut(stream, where))


@given(well_formed, cuts)
@quick
def test_decoder_on_mixed_line_ends(events: list[tuple[list[str], bytes]], where: list[float]) -> None:
    """Events may end their lines with LF, CR or CRLF, each as it likes."""
    expected = ["\n".join(lines).encode() for lines, _ in events]

    assert expected == decode(*cut(write(events), where))


@given(pile, cuts)
@quick
def test_decoder_agrees_with_openai(stream: bytes, where: list[float]) -> None:
    """The OpenAI SDK reads the same data from a stream that ends with a blank line."""
    stream += b"\n\n"
    theirs = [event.data.encode() for event in SSEDecoder().iter_bytes(iter(cut(stream, where)))]

    # The SDK also reports events without data.
    assert [data for data in theirs if data] == [data for data in decode(stream) if data]


_PIECES = (
    *(b"data: ", b"data:", b"data", b"event: x", b": comment", b"id: 1", b"retry: 5", b"x", b" ", b":"),
    *(b"\n", b"\n\n", b"\r\n", b"\r", b'{"a":1}', b"[DONE]", "é€😀".encode(), "\u2028\x85".encode()),
)


@pytest.mark.long
def test_decoder_agrees_with_openai_always() -> None:
    """However a stream is made up and cut, the OpenAI SDK reads the same data from it."""
    cases = 1_000_000 if os.environ.get("ORGATE_LONG") else 20_000
    chance = random.Random(20_261_122)
    for number in range(cases):
        # A mark at the start is no text by the standard, and the SDK takes it for some.
        stream = b"".join(chance.choices(_PIECES, k=chance.randrange(1, 14))) + b"\n\n"
        where = sorted(chance.randrange(len(stream) + 1) for _ in range(chance.randrange(5)))
        chunks = [stream[start:end] for start, end in itertools.pairwise([0, *where, len(stream)])]
        theirs = [data for event in SSEDecoder().iter_bytes(iter(chunks)) if (data := event.data.encode())]
        assert theirs == [data for data in decode(*chunks) if data], (number, chunks)


@pytest.mark.parametrize(
    ("stream", "pending"),
    [
        pytest.param(b"data: abc\n\n", 0, id="nothing"),
        pytest.param(b"data: abc", 9, id="half a line"),
        pytest.param(b"data: abc\n", 4, id="a line of data"),
        pytest.param(b"data: abc\ndata: de", 12, id="a line and a half"),
        pytest.param(b": comment\n", 0, id="comment"),
        pytest.param(b"data\n" * 1000, 1000, id="empty lines of data"),
    ],
)
def test_pending_bytes(stream: bytes, pending: int) -> None:
    """What is kept of an unfinished event can be counted, so that it can be limited."""
    decoder = SseDecoder()
    decoder.feed(stream)

    assert pending == decoder.pending_bytes


@pytest.mark.parametrize(
    ("stream", "whole", "rest"),
    [
        pytest.param(b"", b"", b"", id="nothing"),
        pytest.param(b"data: a", b"", b"data: a", id="half a line"),
        pytest.param(b"data: a\n", b"", b"data: a\n", id="no blank line"),
        pytest.param(b"data: a\n\n", b"data: a\n\n", b"", id="LF"),
        pytest.param(b"data: a\r\rb", b"data: a\r\r", b"b", id="CR"),
        pytest.param(b"data: a\r\n\r\nb", b"data: a\r\n\r\n", b"b", id="CRLF"),
        pytest.param(b"data: a\r\n\r", b"data: a\r\n\r", b"", id="CRLF cut in the blank line"),
        pytest.param(b"data: a\n\rb", b"data: a\n\r", b"b", id="LF CR"),
        pytest.param(b"a\n\nb\r\rc\r\n\r\nd", b"a\n\nb\r\rc\r\n\r\n", b"d", id="all"),
        pytest.param(b"\n\na", b"\n\n", b"a", id="at the start, LF"),
        pytest.param(b"\r\ra", b"\r\r", b"a", id="at the start, CR"),
        pytest.param(b"\na", b"", b"\na", id="one line end"),
    ],
)
def test_split(stream: bytes, whole: bytes, rest: bytes) -> None:
    """A stream is parted behind its last blank line."""
    assert (whole, rest) == split(stream)


@given(pile)
@quick
def test_split_keeps_events_whole(stream: bytes) -> None:
    """Nothing is lost by splitting: the first part ends in a blank line and has all events, the rest has none."""
    whole, rest = split(stream)

    assert stream == whole + rest
    assert not whole or whole.endswith((b"\n\n", b"\r\r", b"\n\r\n", b"\n\r"))
    assert decode(stream) == decode(whole)
    assert [] == decode(rest)


@given(pile, cuts)
@quick
def test_split_as_a_stream_arrives(stream: bytes, where: list[float]) -> None:
    """Pieces released at blank lines hold whole events only, and all of them as soon as they are known."""
    held, pieces, decoder = b"", [], SseDecoder()
    for chunk in cut(stream, where):
        known = decoder.feed(chunk)
        piece, held = split(held + chunk)
        pieces.append(piece)
        assert known == decode(piece)

    assert stream == b"".join(pieces) + held


@pytest.mark.parametrize(
    ("events", "expected"),
    [(0, b""), (1, b": c\n\ndata: 1\n\n"), (2, b": c\n\ndata: 1\n\ndata: 2\r\n\r\n"), (9, None)],
)
def test_head(events: int, expected: bytes | None) -> None:
    """The head of a stream ends with its nth event, whatever the line ends and the comments between."""
    stream = b": c\n\ndata: 1\n\ndata: 2\r\n\r\ndata: 3\r\r"

    assert (stream if expected is None else expected) == head(stream, events)
