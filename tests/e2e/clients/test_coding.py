from __future__ import annotations

import json
import os
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest

from app.sandbox import Sandbox
from tests.cli.processes import ORGATE
from tests.e2e.clients.programs import npm_packages
from tests.e2e.node_runner import Missing
from tests.gateway import Gateway

pytestmark = pytest.mark.clients

HELLO = "Hello, who are you?"
_QUIET = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1"}


def run(gateway: Gateway, packages: Path, *arguments: str, model: str | None = None) -> str:
    """What a program says that `orgate run` starts in an empty folder; it must end well."""
    done = attempt(gateway, packages, *arguments, model=model)
    assert 0 == done.returncode, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def attempt(
    gateway: Gateway, packages: Path, *arguments: str, model: str | None = None
) -> subprocess.CompletedProcess[str]:
    """A program that `orgate run` has started in an empty folder, when it has ended."""
    work = Path.cwd() / "work"
    work.mkdir(exist_ok=True)
    chosen = ("--model", model) if model else ()
    return subprocess.run(
        [ORGATE, "run", *chosen, "--url", gateway.base_url, *arguments],
        cwd=work,
        env={
            **os.environ,
            **_QUIET,
            "PATH": f"{packages / 'node_modules' / '.bin'}{os.pathsep}{os.environ['PATH']}",
            "ORGATE_TOKEN": gateway.token(arguments[0]),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def asked(sandbox: Sandbox) -> list[tuple[str, str]]:
    """Path and model of every call that reached the sandbox."""
    return [(row["path"].removeprefix("/api/v1"), row["model"]) for row in sandbox.log() if row["method"] == "POST"]


def check_bill(gateway: Gateway, sandbox: Sandbox, app: str) -> None:
    """The ledger must hold under this name what the bill says."""
    usage = gateway.get("/usage?by=app").json()
    assert [app] == [row["app"] for row in usage["data"]]
    assert Decimal(sandbox.bill()["total_cost"]) == Decimal(usage["total_cost"]) > 0


def test_claude_code(js_clients: Path, gateway: Gateway, sandbox: Sandbox) -> None:
    """Claude Code answers, runs a tool and tells what it found, by /messages."""
    said = run(gateway, js_clients, "claude", "-p", HELLO)
    found = run(gateway, js_clients, "claude", "-p", "Please use Glob.", "--allowedTools", "Glob")

    assert HELLO in said
    assert "The tool answered" in found
    assert {("/messages", "~anthropic/claude-opus-latest")} == set(asked(sandbox))
    assert 3 == len(asked(sandbox))
    check_bill(gateway, sandbox, "claude")


def test_paused_claude_code(js_clients: Path, gateway: Gateway, sandbox: Sandbox) -> None:
    """Claude Code tells at once that it is paused, and does not ask for minutes."""
    gateway.services.relay.pause("claude")

    told = attempt(gateway, js_clients, "claude", "-p", HELLO)

    assert (1, True) == (told.returncode, "Calls of claude are paused." in told.stdout)
    assert [] == asked(sandbox)


def test_codex(js_clients: Path, gateway: Gateway, sandbox: Sandbox) -> None:
    """Codex answers, runs a tool and tells what came of it, by /responses."""
    codex = ("codex", "exec", "--skip-git-repo-check", "--json")
    said = run(gateway, js_clients, *codex, HELLO)
    told = run(gateway, js_clients, *codex, "Please update the plan.", model="openai/gpt-4o-mini")

    texts = [json.loads(line).get("item", {}).get("text", "") for line in (said + told).splitlines()]
    assert any(HELLO in text for text in texts)
    assert any("The tool answered" in text for text in texts)
    assert [("/responses", "~openai/gpt-latest"), *[("/responses", "openai/gpt-4o-mini")] * 2] == asked(sandbox)
    check_bill(gateway, sandbox, "codex")


def test_codex_keeps_its_instructions(js_clients: Path, gateway: Gateway, sandbox: Sandbox) -> None:
    """Codex asks for a list of models when its token comes from a command, and keeps its own instructions then too."""
    settings = {
        "model": "openai/gpt-4o-mini",
        "model_provider": "orgate",
        "model_providers.orgate.name": "orgate",
        "model_providers.orgate.base_url": f"{gateway.base_url}/v1",
        "model_providers.orgate.wire_api": "responses",
        "model_providers.orgate.auth.command": "printenv",
    }
    flags = [part for name, value in settings.items() for part in ("-c", f"{name}={json.dumps(value)}")]
    auth = ("-c", 'model_providers.orgate.auth.args=["CODEX_TOKEN"]')
    program = js_clients / "node_modules" / ".bin" / "codex"
    environment = {**os.environ, "CODEX_TOKEN": gateway.token("codex")}

    done = subprocess.run(
        [program, "exec", "--skip-git-repo-check", *flags, *auth, HELLO],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert (0, True) == (done.returncode, HELLO in done.stdout), done.stderr[-2000:]
    assert [True] == [row["body_bytes"] > 30_000 for row in sandbox.log() if row["method"] == "POST"]


@pytest.mark.long
@pytest.mark.skipif("ORGATE_LONG" not in os.environ, reason="the package weighs 350 MB; ORGATE_LONG=1 runs it")
def test_opencode(gateway: Gateway, sandbox: Sandbox) -> None:
    """opencode answers with the one model it was given, by its own OpenRouter provider."""
    try:
        packages = npm_packages("opencode")
    except Missing as missing:
        pytest.skip(str(missing))

    assert HELLO in run(gateway, packages, "opencode", "run", HELLO)
    assert {("/chat/completions", "anthropic/claude-sonnet-4.5")} == set(asked(sandbox))
