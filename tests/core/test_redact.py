from __future__ import annotations

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.redact import mask, redact
from tests.core.quick import quick

KEY = "sk-or-v1-" + "0123456789abcdef" * 4
TOKEN = jwt.encode({"sub": "notes"}, "s" * 32, "HS256")

key = st.from_regex(r"sk-or-(v1-)?[A-Za-z0-9]{20,64}", fullmatch=True)
around = st.text(max_size=12) | st.sampled_from(["", "sk-", "eyJ", "Bearer ", "bearer bearer ", " [", '"', "="])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param(KEY, "[key]", id="key"),
        pytest.param(f"key={KEY}&x=1", "key=[key]&x=1", id="key in an address"),
        pytest.param(f'{{"key":"{KEY}"}}', '{"key":"[key]"}', id="key in JSON"),
        pytest.param(f"{KEY} {KEY}", "[key] [key]", id="two keys"),
        pytest.param("sk-or-v1-abc", "[key]", id="short key"),
        pytest.param(TOKEN, "[token]", id="token"),
        pytest.param(f"?token={TOKEN}.", "?token=[token].", id="token in an address"),
        pytest.param(TOKEN.rpartition(".")[0], "[token]", id="token without its signature"),
        pytest.param(f"Authorization: Bearer {KEY}", "Authorization: Bearer [key]", id="bearer key"),
        pytest.param(f"Authorization: Bearer {TOKEN}", "Authorization: Bearer [token]", id="bearer token"),
        pytest.param("authorization: bearer hunter2", "authorization: bearer [secret]", id="any bearer"),
        pytest.param("BEARER\tx/y+z==", "BEARER\t[secret]", id="bearer with a tab"),
        pytest.param("Bearer Bearer hunter2", "Bearer Bearer [secret]", id="bearer written twice"),
        pytest.param("", "", id="nothing"),
        pytest.param("a task-order, not a key", "a task-order, not a key", id="words"),
        pytest.param("eyJ is how a token starts", "eyJ is how a token starts", id="start of a token"),
        pytest.param("model openai/gpt-4.1", "model openai/gpt-4.1", id="model"),
    ],
)
def test_redact(text: str, shown: str) -> None:
    """Keys, tokens and bearer credentials are replaced by marks, and nothing else is."""
    assert shown == redact(text)


@given(around, st.sampled_from(["", "Bearer "]), key | st.just(TOKEN), around)
@quick
def test_no_secret_left(before: str, scheme: str, secret: str, after: str) -> None:
    """A secret is found wherever it stands in a text."""
    shown = redact(before + scheme + secret + after)

    assert secret not in shown
    # Its middle is not left either; what touches it on a side may go with it.
    assert secret[6:-1] not in shown


@settings(quick, max_examples=120)
@given(st.lists(around | key | st.just(TOKEN), max_size=5).map("".join))
def test_twice(text: str) -> None:
    """A text that was redacted is not changed by redacting it again."""
    assert redact(text) == redact(redact(text))


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        pytest.param(KEY, "sk-or-v1-…cdef", id="key"),
        pytest.param("sk-or-" + "x" * 20, "sk-or-…xxxx", id="older key"),
        pytest.param("sk-or-v1-" + "x" * 12, "sk-or-v1-…xxxx", id="just long enough"),
        pytest.param("sk-or-v1-" + "x" * 11, "sk-or-v1-…", id="too short to show any of it"),
        pytest.param("sk-or-", "sk-or-…", id="empty"),
    ],
)
def test_mask(key: str, shown: str) -> None:
    """A key's owner can tell it apart by its last four characters, if enough others stay hidden."""
    assert shown == mask(key)
