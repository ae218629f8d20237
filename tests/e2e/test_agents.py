from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI
from openrouter import OpenRouter

from app.sandbox import Sandbox
from tests.agents import write
from tests.core.agents.documented import RESEARCH, RUNS, SMART
from tests.e2e.served import orgate, served
from tests.gateway import KEY, Gateway
from tests.lab.client.lab import comes_true

pytestmark = pytest.mark.clients

HELLO = [{"role": "user", "content": "Hello, who are you?"}]
CHEAP = "mistralai/mistral-nemo"


@pytest.fixture
def client(gateway: Gateway) -> Iterator[OpenAI]:
    """The SDK at the gateway."""
    with OpenAI(base_url=f"{gateway.base_url}/v1", api_key=gateway.token("editor"), max_retries=0) as client:
        yield client


def asked(sandbox: Sandbox) -> list[str]:
    """The models that OpenRouter was asked for."""
    return [entry["model"] for entry in sandbox.log() if entry["method"] == "POST"]


def usage(gateway: Gateway) -> dict[str | None, dict[str, Any]]:
    """What each agent has spent."""
    gateway.services.ledger.flush()
    return {row["agent"]: row for row in gateway.get("/usage?by=agent").json()["data"]}


@pytest.mark.parametrize("stream", [False, True])
def test_answers(gateway: Gateway, client: OpenAI, sandbox: Sandbox, stream: bool) -> None:
    """An agent answers like a model, and what it cost is its own and is what OpenRouter bills."""
    write(gateway.folder, "helper", f'model = "{CHEAP}"\nsystemPrompt = "Be kind."')

    answer = client.chat.completions.create(model="agent/helper", messages=HELLO, stream=stream)
    text = (
        "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)
        if stream
        else (answer.choices[0].message.content)
    )

    assert text
    assert comes_true(lambda: "helper" in usage(gateway))
    row = usage(gateway)["helper"]
    assert Decimal(sandbox.bill()["total_cost"]) == Decimal(row["cost"]) > 0
    assert 1 == row["calls"]


@pytest.mark.parametrize("stream", [False, True])
def test_second_model(gateway: Gateway, client: OpenAI, sandbox: Sandbox, stream: bool) -> None:
    """When the agent's first model fails its second answers, and both attempts are the agent's."""
    write(gateway.folder, "stout", f'model = "sandbox/status-404"\nfallbackModels = ["{CHEAP}"]')

    raw = client.chat.completions.with_raw_response.create(model="agent/stout", messages=HELLO, stream=stream)
    answer = raw.parse()
    models = {chunk.model for chunk in answer} if stream else {answer.model}  # type: ignore[attr-defined]

    assert {CHEAP} == models
    assert ["sandbox/status-404", CHEAP] == asked(sandbox)
    assert ("stout", "1") == (raw.headers["x-orgate-agent"], raw.headers["x-orgate-attempted-fallbacks"])
    assert comes_true(lambda: usage(gateway).get("stout", {}).get("attempts") == 2)


def test_spending_by_agent(gateway: Gateway, client: OpenAI, sandbox: Sandbox) -> None:
    """Spending is told apart by agent, calls without one too, and adds up to the bill."""
    for id in ("one", "two"):
        write(gateway.folder, id, f'model = "{CHEAP}"')
    for model in ("agent/one", "agent/one", "agent/two", CHEAP):
        client.chat.completions.create(model=model, messages=HELLO)

    rows = usage(gateway)

    assert {"one": 2, "two": 1, None: 1} == {agent: row["calls"] for agent, row in rows.items()}
    assert Decimal(sandbox.bill()["total_cost"]) == sum(Decimal(row["cost"]) for row in rows.values())
    told = orgate(gateway.folder, {}, "usage", "--by", "agent", "--json")
    assert {"one", "two", None} == {row["agent"] for row in json.loads(told.stdout)["data"]}


def test_documented_research(gateway: Gateway, client: OpenAI, sandbox: Sandbox) -> None:
    """The document's first agent is refused with what to change, and answers once that is done."""
    path = write(gateway.folder, "research", RESEARCH)
    with pytest.raises(openai.NotFoundError, match="OpenRouter cannot run: leave it out"):
        client.chat.completions.create(model="agent/research", messages=HELLO)

    path.write_text(RUNS)

    def answer() -> str | None:
        try:
            return client.chat.completions.create(model="agent/research", messages=HELLO).model
        except openai.NotFoundError:
            return None

    assert comes_true(lambda: answer() == "openai/gpt-4")
    assert "openai/gpt-4" == asked(sandbox)[-1]


def test_documented_smart(gateway: Gateway, client: OpenAI, sandbox: Sandbox) -> None:
    """The document's second agent answers as written, with the model that the auto router chose."""
    write(gateway.folder, "smart", SMART)

    answer = client.chat.completions.create(model="agent/smart", messages=HELLO)

    assert answer.choices[0].message.content
    assert ["openrouter/auto"] == asked(sandbox)
    assert "openrouter/auto" != answer.model


def test_unknown_agent(client: OpenAI) -> None:
    """The SDK raises its own kind of error for an agent that there is not, and does not try again."""
    with pytest.raises(openai.NotFoundError, match="orgate agent new nobody") as refused:
        client.chat.completions.create(model="agent/nobody", messages=HELLO)

    assert "unknown_agent" == refused.value.code


def test_lists(gateway: Gateway, client: OpenAI) -> None:
    """The SDKs' lists of models have the agents among them, also one whose model nobody knows."""
    write(gateway.folder, "helper", f'model = "{CHEAP}"\nname = "Helper"')
    write(gateway.folder, "odd", 'model = "nobody/knows-it"')
    with OpenRouter(api_key=gateway.token(), server_url=f"{gateway.base_url}/api/v1", retry_config=None) as typed:
        entries = {model.id: model for model in typed.models.list().result.data}

    assert {"agent/helper", "agent/odd"} <= {model.id for model in client.models.list()}
    assert "Helper" == entries["agent/helper"].name
    assert "nobody/knows-it" in str(entries["agent/odd"].description)
    assert entries[CHEAP].pricing == entries["agent/helper"].pricing


def test_told_at_the_start(sandbox: Sandbox, tmp_path: Path) -> None:
    """A gateway that starts with a bad file says so in its log, before anybody calls the agent, and once."""
    state = tmp_path / "state"
    state.mkdir()
    write(state, "research", RESEARCH)

    def told() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in gateway.log.read_text("utf-8").splitlines()]
        return [line for line in lines if line["event"] == "agent.unusable"]

    with served(state, {"OPENROUTER_BASE_URL": sandbox.url, "OPENROUTER_API_KEY": KEY}) as gateway:
        assert comes_true(told)
        ended = orgate(state, {"ORGATE_URL": gateway.base_url}, "chat", "-m", "agent/research", "Hello")
        gateway.stop()

    [line] = told()
    assert ("research", "warning", False) == (line["agent"], line["level"], line["kept_old"])
    assert "OpenRouter cannot run" in line["problems"][0]
    assert (1, True) == (ended.returncode, "OpenRouter cannot run" in ended.stderr)
