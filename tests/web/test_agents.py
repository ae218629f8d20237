from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from app.core.catalogue import Query
from app.core.shapes import dump
from app.factory import MOUNTS
from app.sandbox import Sandbox
from tests.adapters.ledger.ledgers import rows
from tests.agents import write
from tests.gateway import Gateway
from tests.lab.client.lab import comes_true

CHEAP, DEAR = "mistralai/mistral-nemo", "openai/gpt-4o"
HELPER = f"""\
name = "Helper"
model = "{CHEAP}"
systemPrompt = "Be kind."
temperature = 0.5
maxTokens = 40
"""


@pytest.fixture
def gateway(make_gateway: Callable[..., Gateway]) -> Gateway:
    """A gateway with one agent that has the catalogue at hand."""
    gateway = make_gateway(openrouter_background_refresh="false")
    gateway.services.models.get(Query())
    write(gateway.folder, "helper", HELPER)
    return gateway


def posts(sandbox: Sandbox) -> list[dict[str, Any]]:
    """The chats that OpenRouter has been sent."""
    return [entry for entry in sandbox.log() if entry["method"] == "POST"]


def digest(body: dict[str, Any]) -> str:
    """What the sandbox notes of such a body."""
    return hashlib.sha256(dump(body)).hexdigest()


def agents_state(gateway: Gateway) -> dict[str, Any]:
    """What health says of the agents to a known program."""
    state: dict[str, Any] = gateway.get("/health").json()["agents"]
    return state


def test_sent(gateway: Gateway, sandbox: Sandbox) -> None:
    """OpenRouter is sent the agent's model, prompt and parameters around the caller's own messages."""
    reply = gateway.chat("agent/helper", "Hello", temperature=1)

    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}]
    expected = {"model": CHEAP, "messages": messages, "temperature": 1, "max_tokens": 40}
    assert 200 == reply.status_code
    assert ("helper", CHEAP) == (reply.headers["x-orgate-agent"], reply.json()["model"])
    assert "x-orgate-agent-overruled" not in reply.headers
    assert [digest(expected)] == [entry["body_sha256"] for entry in posts(sandbox)]


def test_no_agent(gateway: Gateway) -> None:
    """A call without an agent says nothing of one."""
    assert "x-orgate-agent" not in gateway.chat(CHEAP).headers


def test_overruled(gateway: Gateway, sandbox: Sandbox) -> None:
    """What the agent puts aside of a call is told in the answer's headers."""
    reply = gateway.chat("agent/helper", models=[DEAR], route="fallback")

    assert (200, "models") == (reply.status_code, reply.headers["x-orgate-agent-overruled"])
    assert [CHEAP] == [entry["model"] for entry in posts(sandbox)]


def test_unknown(gateway: Gateway, sandbox: Sandbox) -> None:
    """An agent that there is not is a 404 with near names and the command that makes one; nothing is sent."""
    reply = gateway.chat("agent/helpr")

    error = reply.json()["error"]
    assert (404, "not_found_error", "unknown_agent") == (reply.status_code, error["type"], error["code"])
    assert "Did you mean agent/helper?" in error["message"]
    assert "orgate agent new helpr --model" in error["message"]
    assert [] == posts(sandbox)


def test_callers_mistakes_keep_their_place(gateway: Gateway) -> None:
    """The agent's prompt does not move the message that an error points at."""
    reply = gateway.chat("agent/helper", messages=[{"role": "user", "content": "x"}, {"role": "wizard"}])

    assert (400, "messages[1].role") == (reply.status_code, reply.json()["error"]["param"])


def test_owners_prompt_is_not_cut(make_gateway: Callable[..., Gateway], sandbox: Sandbox) -> None:
    """What `strict` cuts is the caller's text, never the agent's."""
    gateway = make_gateway(
        openrouter_background_refresh="false", orgate_sanitize="strict", orgate_max_message_chars="3"
    )
    write(gateway.folder, "helper", HELPER)

    reply = gateway.chat("agent/helper", "Hello")

    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hel"}]
    expected = {"model": CHEAP, "messages": messages, "temperature": 0.5, "max_tokens": 40}
    assert "cut=1" in reply.headers["x-orgate-sanitized"]
    assert [digest(expected)] == [entry["body_sha256"] for entry in posts(sandbox)]


def test_change_counts(gateway: Gateway, sandbox: Sandbox) -> None:
    """A changed file counts without a restart, and a removed one ends its agent."""
    path = write(gateway.folder, "helper", HELPER.replace(CHEAP, DEAR))
    assert comes_true(lambda: gateway.chat("agent/helper").headers.get("x-orgate-model", "").startswith(DEAR))

    path.unlink()

    assert comes_true(lambda: gateway.chat("agent/helper").status_code == 404)


def test_bad_change(gateway: Gateway) -> None:
    """A bad file leaves the agent as it was, and health tells known programs what is wrong with it."""
    assert 200 == gateway.chat("agent/helper").status_code
    path = write(gateway.folder, "helper", "model = 1\ncolour = 2")

    assert comes_true(lambda: agents_state(gateway)["faults"])
    state = agents_state(gateway)
    assert 1 == state["count"]
    assert [("helper", str(path), True)] == [(one["agent"], one["file"], one["kept"]) for one in state["faults"]]
    assert 2 == len(state["faults"][0]["problems"])
    assert 200 == gateway.chat("agent/helper").status_code
    assert "agents" not in gateway.get("/health", token=None).json()


def test_doubts(gateway: Gateway) -> None:
    """What the catalogue says against an agent stands in health and in the list, and the agent answers all the same."""
    write(gateway.folder, "eyes", f'model = "{CHEAP}"\ncapabilities = {{ vision = true }}')

    told = f"{CHEAP} takes no images (vision)."
    assert {"eyes": [told]} == agents_state(gateway)["warnings"]
    listed = {one["id"]: one["warnings"] for one in gateway.get("/agents").json()["data"]}
    assert {"agent/eyes": [told], "agent/helper": []} == listed
    assert 200 == gateway.chat("agent/eyes").status_code


@pytest.mark.parametrize("mount", MOUNTS)
def test_listed(gateway: Gateway, mount: str) -> None:
    """GET /agents tells what each agent is, but not its prompt."""
    reply = gateway.request("GET", f"{mount}/agents")

    assert 200 == reply.status_code
    assert [
        {
            "id": "agent/helper",
            "name": "Helper",
            "provider": "openrouter",
            "model": CHEAP,
            "fallback_models": [],
            "has_system_prompt": True,
            "temperature": 0.5,
            "max_tokens": 40,
            "tools": [],
            "capabilities": {},
            "provider_preferences": None,
            "locked": ["model", "systemPrompt"],
            "warnings": [],
        }
    ] == reply.json()["data"]
    assert "Be kind" not in reply.text


def test_scope(gateway: Gateway) -> None:
    """The list is for tokens with the scope of models."""
    assert 403 == gateway.get("/agents", token=gateway.token(scopes=["chat"])).status_code
    assert 401 == gateway.get("/agents", token=None).status_code


def test_among_the_models(gateway: Gateway) -> None:
    """Agents stand in the list of models behind OpenRouter's, with their first model's prices and limits."""
    models = gateway.get("/models").json()["data"]
    entries = {model["id"]: model for model in models}

    assert "agent/helper" == models[-1]["id"]
    assert "Helper" == entries["agent/helper"]["name"]
    for name in ("pricing", "context_length", "architecture", "supported_parameters", "top_provider"):
        assert entries[CHEAP][name] == entries["agent/helper"][name]


def test_found_among_the_models(gateway: Gateway) -> None:
    """Queries find agents as they find models, and the list follows the files."""
    assert ["agent/helper"] == [one["id"] for one in gateway.get("/models?provider=agent").json()["data"]]
    before = gateway.get("/models").headers["ETag"]

    write(gateway.folder, "second", 'model = "nobody/knows-it"')

    assert comes_true(lambda: gateway.get("/models").headers["ETag"] != before)
    listed = {one["id"]: one for one in gateway.get("/models?provider=agent").json()["data"]}
    assert {"agent/helper", "agent/second"} == listed.keys()
    assert ("-1", None) == (listed["agent/second"]["pricing"]["prompt"], listed["agent/second"]["context_length"])


def test_token_for_agents_only(gateway: Gateway, sandbox: Sandbox) -> None:
    """A token that names an agent may use its models through it and no other way."""
    token = gateway.token(models=["agent/helper"])

    assert 200 == gateway.chat("agent/helper", token=token).status_code
    assert 403 == gateway.chat(CHEAP, token=token).status_code
    assert [CHEAP] == [entry["model"] for entry in posts(sandbox)]


def test_token_without_the_agents_model(gateway: Gateway) -> None:
    """A token's list of models holds for agents that it does not name."""
    token = gateway.token(models=[DEAR])

    error = gateway.chat("agent/helper", token=token).json()["error"]
    assert ("model_not_allowed", CHEAP) == (error["code"], error["details"]["model"])
    assert 200 == gateway.chat("agent/helper", token=gateway.token(models=[CHEAP])).status_code


def test_short_claude(gateway: Gateway, sandbox: Sandbox) -> None:
    """An agent may name its model by a short id of Claude's: lists of models, tokens and the catalogue know which."""
    write(gateway.folder, "short", 'model = "claude-haiku-4-5"\ncapabilities = { vision = true }')

    replies = [gateway.chat("agent/short", token=gateway.token(models=[each])) for each in ("agent/short", "agent/*")]

    assert [200, 200] == [reply.status_code for reply in replies]
    assert {"anthropic/claude-haiku-4.5"} == {entry["model"] for entry in posts(sandbox)}
    assert {} == agents_state(gateway)["warnings"]
    listed = {model["id"]: model["pricing"] for model in gateway.get("/models").json()["data"]}
    assert listed["anthropic/claude-haiku-4.5"] == listed["agent/short"]


def test_counted(gateway: Gateway) -> None:
    """Tokens are counted with the agent's prompt; an agent that there is not is a 404 there too."""

    def count(model: str) -> Any:
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
        return gateway.request("POST", "/v1/messages/count_tokens", json=body)

    assert count("agent/helper").json()["input_tokens"] > count(CHEAP).json()["input_tokens"]
    assert (404, "not_found_error") == (
        count("agent/nobody").status_code,
        count("agent/nobody").json()["error"]["type"],
    )


def test_endpoints(gateway: Gateway) -> None:
    """Who serves an agent's first model can be asked by the agent's name; OpenRouter hears of no agent."""
    found = gateway.get("/models/agent/helper/endpoints")
    missing = gateway.get("/models/agent/nobody/endpoints")

    assert (200, CHEAP) == (found.status_code, found.json()["data"]["id"])
    assert (404, "unknown_agent") == (missing.status_code, missing.json()["error"]["code"])


def test_ceiling(gateway: Gateway, sandbox: Sandbox) -> None:
    """An agent lifts no token's price ceiling: what is too dear is left out of its chain."""
    write(gateway.folder, "both", f'model = "{DEAR}"\nfallbackModels = ["{CHEAP}"]')
    token = gateway.token(models=["agent/both"], max_price={"prompt": "1", "completion": "5"})

    assert 200 == gateway.chat("agent/both", token=token).status_code
    assert [CHEAP] == [entry["model"] for entry in posts(sandbox)]


def held(gateway: Gateway, model: str, **body: Any) -> int:
    """What was set aside for a call, in nano-dollars."""
    reply = gateway.chat(model, **body)
    assert 200 == reply.status_code
    gateway.services.ledger.flush()
    call_id = reply.headers["x-orgate-call-id"]
    [amount] = [row["hold"] for row in rows(gateway.folder / "ledger.db") if row["call_id"] == call_id]
    return int(amount)


def test_hold_knows_the_agent(gateway: Gateway) -> None:
    """What is set aside covers the agent's prompt and its longest answer."""
    write(gateway.folder, "long", f'model = "{DEAR}"\nmaxTokens = 100\nsystemPrompt = "{"word " * 2000}"')
    write(gateway.folder, "short", f'model = "{DEAR}"\nmaxTokens = 100')

    long, short = held(gateway, "agent/long"), held(gateway, "agent/short")
    plain = held(gateway, DEAR, max_tokens=100)

    # A token for every two bytes, $2.50 for a million of them.
    assert long - short >= 5000 * 2500
    assert abs(short - plain) < 100 * 2500


def test_story(gateway: Gateway) -> None:
    """The story of a call names the agent."""
    token = gateway.token()
    reply = gateway.chat("agent/helper", token=token)

    story = gateway.get(f"/calls/{reply.headers['x-orgate-call-id']}", token=token).json()

    assert ("helper", [CHEAP]) == (story["agent"], story["models"])


def test_failed_call(gateway: Gateway) -> None:
    """An error's headers name the agent too."""
    write(gateway.folder, "broken", 'model = "sandbox/status-400"')

    reply = gateway.chat("agent/broken")

    assert (400, "broken") == (reply.status_code, reply.headers["x-orgate-agent"])
