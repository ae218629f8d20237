from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.core.errors import BadRequest
from app.core.strict_json import loads
from tests.core.quick import quick

leaf = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
)
value = st.recursive(
    leaf,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
body = st.builds(
    lambda members, escaped, indent: json.dumps(members, ensure_ascii=escaped, indent=indent).encode(),
    st.dictionaries(st.text(max_size=4), value, max_size=4),
    st.booleans(),
    st.sampled_from([None, 1]),
)
piece = st.binary(max_size=3) | st.sampled_from(
    [
        b'"',
        b"\\",
        rb"\ud800",
        rb"\uDC00",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"[" * 70,
        b'{"a":' * 70,
        b"\xef\xbb\xbf",
        b"0",
    ]
)


def nested(depth: int, opening: str = '{"a":', closing: str = "}") -> bytes:
    """An object so many levels deep."""
    return (opening * depth + "1" + closing * depth).encode()


def attempt(data: bytes) -> dict[str, Any] | BadRequest:
    """What the bytes are read as, or why they are not."""
    try:
        return loads(data)
    except BadRequest as error:
        return error


@given(body)
@quick
def test_valid_body(data: bytes) -> None:
    """A JSON object is read as every JSON parser reads it."""
    assert json.loads(data) == loads(data)


@given(body, st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), piece), min_size=1, max_size=3))
@example(b'{"a":1}', [(0.6, 0, b"")])
@quick
def test_mangled_body(data: bytes, changes: list[tuple[float, int, bytes]]) -> None:
    """A body with bytes changed anywhere is refused as a bad request, or it means the same to every JSON parser."""
    for where, removed, added in changes:
        at = round(where * len(data))
        data = data[:at] + added + data[at + removed :]
    read = attempt(data)
    if isinstance(read, BadRequest):
        assert "invalid_json" == read.code
        return

    assert json.loads(data) == read
    assert read == json.loads(json.dumps(read, allow_nan=False, ensure_ascii=False).encode())


@given(st.binary(max_size=40))
@quick
def test_noise(data: bytes) -> None:
    """Bytes that are no JSON object are refused, never failed on."""
    read = attempt(data)

    assert isinstance(read, BadRequest) or json.loads(data) == read


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"{}", id="empty object"),
        pytest.param(b' \t\r\n{"a" : 1}\n', id="white space"),
        pytest.param(nested(64), id="64 levels"),
        pytest.param(b'{"a":' + nested(63, "[", "]") + b"}", id="64 levels of lists"),
        pytest.param(b'{"a":[' + b"[]," * 99 + b"[]]}", id="many brackets, few levels"),
        pytest.param(b'{"a":"' + b"[{" * 99 + b'"}', id="brackets in a text"),
        pytest.param(b'{"a":{"b":1},"c":{"b":1}}', id="a name twice in two objects"),
        pytest.param(rb'{"a":"\ud83d\ude00"}', id="a whole surrogate pair"),
        pytest.param(rb'{"a":"\\ud83d"}', id="a backslash before ud83d"),
        pytest.param('{"é\u2028":"😀"}'.encode(), id="beyond ASCII"),
        pytest.param(b'{"a":1.7976931348623157e308}', id="the largest double"),
        pytest.param(b'{"a":' + b"9" * 308 + b"}", id="308 digits"),
        pytest.param(b'{"a":1e-999}', id="next to nothing"),
    ],
)
def test_accepted(data: bytes) -> None:
    """What is unusual but means the same to everyone is taken."""
    assert json.loads(data) == loads(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "not JSON", id="nothing"),
        pytest.param(b"   ", "not JSON", id="white space"),
        pytest.param(b"{", "not JSON", id="unfinished"),
        pytest.param(b"{} {}", "not JSON", id="two objects"),
        pytest.param(b'{"a":1,}', "not JSON", id="trailing comma"),
        pytest.param(b"{'a':1}", "not JSON", id="single quotes"),
        pytest.param(b'{"a":"\n"}', "not JSON", id="bare control character"),
        pytest.param(b"[]", "must be a JSON object", id="list"),
        pytest.param(b"[1,2]", "must be a JSON object", id="list of numbers"),
        pytest.param(b"null", "must be a JSON object", id="null"),
        pytest.param(b'"text"', "must be a JSON object", id="text"),
        pytest.param(b"1", "must be a JSON object", id="number"),
        pytest.param(b'{"a":1,"a":1}', "twice", id="duplicate name"),
        pytest.param(b'{"model":"a","mo\\u0064el":"b"}', "twice", id="duplicate by an escape"),
        pytest.param(b'{"a":[{"b":{"c":1,"c":2}}]}', "twice", id="duplicate deep inside"),
        pytest.param(b'{"a":NaN}', "NaN", id="NaN"),
        pytest.param(b'{"a":Infinity}', "Infinity", id="infinity"),
        pytest.param(b'{"a":-Infinity}', "Infinity", id="-infinity"),
        pytest.param(b'{"a":1e999}', "too large", id="1e999"),
        pytest.param(b'{"a":-1e999}', "too large", id="-1e999"),
        pytest.param(b'{"a":1' + b"0" * 309 + b"}", "too large", id="310 digits"),
        pytest.param(b'{"a":' + b"9" * 5000 + b"}", "too large", id="5000 digits"),
        pytest.param(nested(65), "64 levels", id="65 levels"),
        pytest.param(b'{"a":' + nested(64, "[", "]") + b"}", "64 levels", id="65 levels of lists"),
        pytest.param(nested(100_000), "64 levels", id="100 000 levels"),
        pytest.param(b'{"a":' + b"[" * 100_000, "64 levels", id="100 000 open brackets"),
        pytest.param(rb'{"a":"\ud800"}', "UTF-8", id="lone high surrogate"),
        pytest.param(rb'{"a":"\uDBFF\u0041"}', "UTF-8", id="lone high surrogate and a letter"),
        pytest.param(rb'{"a":"\udc00"}', "UTF-8", id="lone low surrogate"),
        pytest.param(rb'{"\uDFFF":1}', "UTF-8", id="lone low surrogate in a name"),
        pytest.param(b'{"a":"\xed\xa0\x80"}', "UTF-8", id="surrogate as bytes"),
        pytest.param(b'{"a":"\xff"}', "UTF-8", id="no UTF-8"),
        pytest.param(b'{"a":"\xc0\xaf"}', "UTF-8", id="overlong UTF-8"),
        pytest.param(b'\xef\xbb\xbf{"a":1}', "BOM", id="byte order mark"),
        pytest.param('{"a":1}'.encode("utf-16"), "UTF-8", id="UTF-16"),
        pytest.param('{"a":1}'.encode("utf-16-le"), "not JSON", id="UTF-16 without a mark"),
        pytest.param('{"a":1}'.encode("utf-32"), "UTF-8", id="UTF-32"),
    ],
)
def test_refused(data: bytes, reason: str) -> None:
    """What two readers could read differently is refused with the reason."""
    with pytest.raises(BadRequest, match=reason) as refused:
        loads(data)

    assert "invalid_json" == refused.value.code
    assert 400 == refused.value.status


@pytest.mark.parametrize("deep", [pytest.param(b"[", id="list"), pytest.param(b'{"a":', id="object")])
def test_depth_with_a_surrogate(deep: bytes) -> None:
    """A body that is both too deep and in need of a closer look is refused, never failed on."""
    depth = 900
    data = b'{"a":' + deep * depth + rb'"\ud83d\ude00"' + {b"[": b"]"}.get(deep, b"}") * depth + b"}"

    with pytest.raises(BadRequest, match="64 levels"):
        loads(data)


def test_message_holds_no_content() -> None:
    """The message tells where the body is wrong, not what is in it."""
    secret: dict[str, Any] = {"messages": [{"role": "user", "content": "my secret"}]}
    broken = json.dumps(secret).encode()[:-1]

    with pytest.raises(BadRequest) as refused:
        loads(broken)

    assert "secret" not in refused.value.message
    assert "line 1, column" in refused.value.message
