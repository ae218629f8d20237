from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from app.sandbox import Sandbox
from tests.e2e.addresses import likeness
from tests.e2e.node_runner import Node
from tests.gateway import KEY, Gateway

pytestmark = pytest.mark.clients

STORY = "Tell me a story."


def output(done: subprocess.CompletedProcess[str]) -> str:
    """What a program printed; it must have ended well."""
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout


def content(gateway: Gateway, **body: Any) -> str:
    """What the model says to this, asked without any client library."""
    return gateway.chat(**body).json()["choices"][0]["message"]["content"]


def told_by_sdk(node: Node, base_url: str, key: str) -> dict[str, Any]:
    """What the official package reads at this address, task by task."""
    environment = {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": key}
    told = json.loads(output(node.run("sdk.mjs", environment)))
    alike = {name: likeness(told[name]) for name in ("plain", "stream", "tool", "streamedTool", "jsonSchema", "image")}
    return {**told, **alike}


@pytest.fixture(scope="module")
def direct(node: Node, shared_sandbox: Sandbox) -> dict[str, Any]:
    """What the official package reads without a gateway."""
    return told_by_sdk(node, shared_sandbox.url, KEY)


def test_openai_package(node: Node, direct: dict[str, Any], gateway: Gateway, mount: str) -> None:
    """The official package reads the same objects as without the gateway: plain, streamed, tools, schema, images."""
    told = told_by_sdk(node, gateway.base_url + mount, gateway.token())
    cut = told.pop("cutStream")

    expected = {name: value for name, value in direct.items() if name != "cutStream"}
    assert expected == told
    assert {"kind": "BadRequestError", "status": 400} == {
        name: told["unknownModel"][name] for name in ("kind", "status")
    }
    assert (
        json.loads(told["jsonSchema"]["choices"][0]["message"]["content"])
        == (told["jsonSchema"]["choices"][0]["message"]["parsed"])
    )
    assert (3, [None] * 3, True) == (len(cut["said"]), cut["finished"], cut["raised"])


def test_basic_example(node: Node, gateway: Gateway) -> None:
    """The document's basic example prints the answer."""
    printed = output(node.run_example("basic", gateway.base_url, gateway.token()))

    assert f"{content(gateway, model='openai/gpt-4', text='Explain quantum computing.')}\n" == printed


def test_fallback_example(node: Node, gateway: Gateway) -> None:
    """The document's example with a chain of models is answered."""
    told = json.loads(output(node.run_example("fallback", gateway.base_url, gateway.token())))

    assert 200 == told["status"]
    assert "openai/gpt-4" == told["answer"]["model"]
    assert told["answer"]["choices"][0]["message"]["content"]


def test_streaming_example(node: Node, gateway: Gateway) -> None:
    """The document's streaming example prints the whole answer and sees its end."""
    printed = output(node.run_example("streaming", gateway.base_url, gateway.token()))

    assert f"{content(gateway, model='openai/gpt-4', text=STORY)}Stream complete\n" == printed


def test_credits_example(node: Node, gateway: Gateway) -> None:
    """The document's credits example reads the balance and stays quiet while there is money."""
    credits = json.loads(output(node.run_example("credits", gateway.base_url, gateway.token())))

    assert (25, 7.42, 17.58) == tuple(credits[name] for name in ("total_credits", "used_credits", "remaining_credits"))


def test_credits_example_warns(node: Node, gateway: Gateway, sandbox: Sandbox) -> None:
    """The document's credits example warns when less than a dollar is left."""
    sandbox.account(total_credits="25", total_usage="24.42")
    done = node.run_example("credits", gateway.base_url, gateway.token())

    assert "Low balance warning!\n" == done.stderr
    assert "Remaining: $0.58" == done.stdout.splitlines()[0]
    assert 0 == done.returncode


def test_models_example(node: Node, gateway: Gateway) -> None:
    """The document's models example filters by capability and provider and sorts by price."""
    told = json.loads(output(node.run_example("models", gateway.base_url, gateway.token())))

    assert sorted(told["byPrice"]) == told["byPrice"]
    assert "openai/gpt-4o-mini" in told["openai"]
    assert "openai/gpt-4o-mini" in told["vision"]
    assert "openai/gpt-3.5-turbo" not in told["vision"]


def test_batch_example(node: Node, gateway: Gateway) -> None:
    """The document's batch example gets every answer in the order of its prompts."""
    answers = json.loads(output(node.run_example("batch", gateway.base_url, gateway.token())))

    prompts = ("first prompt", "second prompt", "third prompt")
    assert [content(gateway, model="openai/gpt-3.5-turbo", text=prompt) for prompt in prompts] == answers


def test_robust_example_waits(node: Node, gateway: Gateway, sandbox: Sandbox) -> None:
    """The document's retry example outlasts a used-up quota."""
    token = gateway.token("busy", quotas={"chat": "1 per second"})
    params = json.dumps({"model": "sandbox/echo", "messages": [{"role": "user", "content": "Still here?"}]})
    gateway.chat(token=token)
    answer = json.loads(output(node.run_example("robust", gateway.base_url, token, PARAMS=params)))

    assert "Still here?" == answer["choices"][0]["message"]["content"]
    assert 2 == len([row for row in sandbox.log() if row["method"] == "POST"])


def test_robust_example_gives_up(node: Node, gateway: Gateway, sandbox: Sandbox) -> None:
    """The document's retry example ends with the status of what never succeeds."""
    params = json.dumps({"model": "nobody/nothing", "messages": [{"role": "user", "content": "Anyone?"}]})
    printed = output(node.run_example("robust", gateway.base_url, gateway.token(), PARAMS=params))

    assert printed.startswith("HTTP 400: ")
    assert 3 == len([row for row in sandbox.log() if row["method"] == "POST"])
