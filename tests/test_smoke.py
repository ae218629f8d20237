from __future__ import annotations

from tests.gateway import Gateway


def test_plain_answer(gateway: Gateway) -> None:
    """A chat through the gateway is answered by the model."""
    reply = gateway.chat()

    assert 200 == reply.status_code
    assert reply.json()["choices"][0]["message"]["content"]
