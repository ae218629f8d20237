from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.cli.clients import CLIENTS
from app.cli.clients.client import Target
from tests.e2e.clients.programs import HERE
from tests.gateway import Gateway

pytestmark = pytest.mark.clients

HELLO = "Hello, who are you?"
_PASSED = ("PATH", "HOME")


def answer(gateway: Gateway) -> str:
    """What the model says to the greeting, asked without any client library."""
    reply = gateway.chat(model="openai/gpt-4o-mini", text=HELLO)
    return str(reply.json()["choices"][0]["message"]["content"])


def output(command: list[str], environment: dict[str, str], folder: Path) -> Any:
    """What a program told in JSON; it must have ended well."""
    kept = {name: os.environ[name] for name in _PASSED if name in os.environ}
    done = subprocess.run(
        command, env={**kept, **environment}, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert 0 == done.returncode, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def told_by_python(name: str, packages: Path, gateway: Gateway) -> Any:
    """What one of our Python programs tells, with address and token as `orgate run python` gives them."""
    client = CLIENTS["python"]
    launch = client.setup(Target(gateway.base_url, gateway.token(), client.model)).launch
    assert launch is not None
    environment = {**launch.environment, "PYTHONPATH": str(packages)}
    return output([sys.executable, str(HERE / "python" / f"{name}_client.py")], environment, packages)


def told_by_node(folder: Path, name: str, gateway: Gateway) -> Any:
    """What one of our JavaScript programs tells."""
    return output(["node", str(folder / name)], {"BASE_URL": gateway.base_url, "TOKEN": gateway.token()}, folder)


def test_langchain(python_clients: Path, gateway: Gateway) -> None:
    """LangChain answers, streams with usage, and calls a tool."""
    told = told_by_python("langchain", python_clients, gateway)

    assert answer(gateway) == told["plain"] == told["stream"]
    assert told["usage"] == told["streamed_usage"] > 0
    assert told["chunks"] > 10
    assert "get_weather" == told["tool"]
    assert told["told"]


def test_pydantic_ai(python_clients: Path, gateway: Gateway) -> None:
    """pydantic-ai answers, streams, calls a tool and reads a structured answer."""
    told = told_by_python("pydantic_ai", python_clients, gateway)

    assert answer(gateway) == told["plain"] == told["stream"]
    assert told["usage"] > 0
    assert told["chunks"] > 5
    assert (1, ["age", "name"]) == (told["tool"], told["person"])
    assert told["told"]


def test_instructor(python_clients: Path, gateway: Gateway) -> None:
    """instructor reads structured answers by tools and by schema, and in parts as they come."""
    told = told_by_python("instructor", python_clients, gateway)

    assert ["age", "name"] == told["tools"] == told["schema"] == told["last"]
    assert told["parts"] > 1


def test_ai_sdk(js_clients: Path, gateway: Gateway) -> None:
    """The AI SDK answers, streams and calls a tool, with OpenRouter's provider and with a compatible one."""
    both = told_by_node(js_clients, "ai.mjs", gateway)

    assert {"openrouter", "compatible"} == both.keys()
    for told in both.values():
        assert answer(gateway) == told["plain"] == told["stream"]
        assert told["usage"] > 0
        assert told["chunks"] > 5
        assert ("stop", 1) == (told["finish"], told["tool"])
        assert told["told"]
    assert both["openrouter"]["cost"] > 0


@pytest.mark.long
@pytest.mark.skipif(os.environ.get("ORGATE_LONG") != "1", reason="the package weighs 550 MB")
def test_librechat_agents(librechat_agents: Path, gateway: Gateway) -> None:
    """LibreChat's own agents package streams an answer through its OpenRouter provider."""
    told = told_by_node(librechat_agents, "agents.mjs", gateway)

    assert answer(gateway) == told["said"]
    assert told["deltas"] > 10


def test_llm(python_clients: Path, gateway: Gateway, tmp_path: Path) -> None:
    """`llm` answers with the configuration that `orgate connect llm` prints."""
    token = gateway.token("llm")
    entry, key = CLIENTS["llm"].setup(Target(gateway.base_url, token, "openai/gpt-4o-mini")).pieces
    (tmp_path / "extra-openai-models.yaml").write_text(entry.text)
    environment = {**os.environ, "PYTHONPATH": str(python_clients), "LLM_USER_PATH": str(tmp_path)}
    llm = [sys.executable, "-m", "llm"]
    subprocess.run([*llm, "keys", "set", "orgate", "--value", key.text], env=environment, check=True, timeout=60)
    ask = [*llm, "-m", "orgate/openai/gpt-4o-mini", HELLO]
    said = subprocess.check_output(ask, env=environment, text=True, timeout=60)

    assert f"{answer(gateway)}\n" == said
