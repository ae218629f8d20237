from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner, Result

from app.cli.clients import CLIENTS
from app.cli.main import cli
from tests.cli.processes import ORGATE, Running, orgate, started

RUNNABLE = [name for name, client in CLIENTS.items() if client.program]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of the demo."""
    return Path(tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="module", autouse=True)
def demo(state: Path) -> Iterator[Running]:
    """A gateway in front of a sandbox."""
    with started("demo", "--port", "0", "--state-dir", str(state)) as running:
        yield running


def command(state: Path, *arguments: str, text: str | None = None, **environment: str) -> Result:
    """A command on this state folder, run in this process."""
    return CliRunner().invoke(cli, [*arguments, "--state-dir", str(state)], input=text, env=environment)


def connected(state: Path, *arguments: str) -> Any:
    """What `orgate connect --json` tells."""
    ended = command(state, "connect", *arguments, "--json")
    assert 0 == ended.exit_code, ended.stderr
    return json.loads(ended.stdout)


def issued(state: Path) -> list[dict[str, Any]]:
    """The tokens on record."""
    listed: list[dict[str, Any]] = json.loads(command(state, "token", "list", "--json").stdout)
    return listed


def models_status(base_url: str, token: str) -> int:
    """What the gateway answers to this token."""
    return requests.get(f"{base_url}/v1/models", headers={"Authorization": f"Bearer {token}"}, timeout=30).status_code


def fake(folder: Path, name: str, script: str) -> dict[str, str]:
    """A program of this name, and the environment in which it is found first."""
    place = folder / name
    place.write_text(f"#!{sys.executable}\n{script}")
    place.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def test_other_names(state: Path) -> None:
    """A client may be called as its product is called."""
    assert "claude" == connected(state, "claude-code")["client"]


def test_lists() -> None:
    """Without a client `connect` names all of them, and which of them `run` can start."""
    printed = CliRunner().invoke(cli, ["connect"]).stdout

    assert all(client.title in printed for client in CLIENTS.values())
    assert RUNNABLE == [line.split()[-1] for line in printed.splitlines()[1:] if "orgate run" in line]


@pytest.mark.parametrize("name", CLIENTS)
def test_configuration(name: str, state: Path, demo: Running) -> None:
    """Each configuration names the running gateway and a token of that program that counts, on standard output only."""
    ended = command(state, "connect", name)
    told = connected(state, name)

    assert (0, name) == (ended.exit_code, told["client"])
    assert demo.told["base_url"] in ended.stdout
    assert "eyJ" in ended.stdout
    assert "eyJ" not in ended.stderr
    assert 200 == models_status(told["base_url"], told["token"])
    assert "eyJ" not in " ".join(told["arguments"] or [])
    assert name in {grant["app"] for grant in issued(state)}


def test_codex_file(state: Path) -> None:
    """Codex's configuration is TOML, the same that `run` gives as arguments."""
    told = connected(state, "codex", "--model", "openai/gpt-4o-mini")

    written = tomllib.loads(told["pieces"][0]["text"])
    flags = told["arguments"][1::2]
    assert written["model_provider"] in written["model_providers"]
    assert "openai/gpt-4o-mini" == written["model"]
    assert written == tomllib.loads("\n".join(flags))
    assert 1 == written["model_providers"]["orgate"]["request_max_retries"]
    assert {"-c"} == set(told["arguments"][::2])


@pytest.mark.parametrize("name", ["claude", "codex", "opencode", "aider"])
def test_one_model(name: str, state: Path) -> None:
    """A program that is given a model uses no other one behind its user's back."""
    told = connected(state, name, "--model", "qwen/qwen3-coder")

    texts = [*told["arguments"], *told["environment"].values(), *(piece["text"] for piece in told["pieces"])]
    said = "\n".join(texts)
    assert "qwen/qwen3-coder" in said
    assert not any(other in said for other in ("claude-", "gpt-", "-latest"))


@pytest.mark.parametrize("name", ["opencode", "zed"])
def test_json_files(name: str, state: Path) -> None:
    """What goes into a JSON file is JSON, and without the token where the file may be shared."""
    text = connected(state, name)["pieces"][0]["text"]

    assert "/api/v1" in json.dumps(json.loads(text))
    assert "eyJ" not in text


def test_pasted_curl(state: Path) -> None:
    """The curl command works when pasted, without the token among its arguments."""
    command = connected(state, "curl")["pieces"][0]["text"]

    printed = subprocess.check_output(["bash", "-c", command], text=True, stderr=subprocess.DEVNULL, timeout=30)

    assert "data: [DONE]" in printed
    assert "eyJ" not in command.splitlines()[0]


def test_pasted_python(state: Path) -> None:
    """The Python snippet works when pasted."""
    snippet = connected(state, "python")["pieces"][0]["text"]

    assert "Hello" in subprocess.check_output([sys.executable, "-c", snippet], text=True, timeout=60)


def test_eval(state: Path, demo: Running) -> None:
    """The lines for the shell can be evaluated."""
    line = f'eval "$({ORGATE} connect claude --state-dir {state})"; echo "$ANTHROPIC_BASE_URL,$ANTHROPIC_API_KEY"'

    printed = subprocess.check_output(["bash", "-c", line], text=True, stderr=subprocess.DEVNULL, timeout=30)

    assert f"{demo.told['base_url']},\n" == printed


def test_limits_stay(state: Path) -> None:
    """A program's new token has scopes, budget, quota and wishes of the one before."""
    limits = ("--budget", "5/day", "--rate-chat", "7 per minute", "--scope", "chat", "--scope", "models", "--clamp")
    command(state, "token", "issue", "aider", *limits)
    command(state, "connect", "aider")

    kept = ("scopes", "quotas", "wishes", "budgets")
    last, before = [{name: one[name] for name in kept} for one in issued(state) if one["app"] == "aider"][:-3:-1]
    assert {"day": "5"} == last["budgets"]
    assert before == last


def test_agents_wait_for_their_quota(tmp_path: Path) -> None:
    """The first token of a coding agent waits for the quota; what the owner issued before is not changed."""
    command(tmp_path, "connect", "codex")
    command(tmp_path, "token", "issue", "claude")
    command(tmp_path, "connect", "claude")

    assert [{"queue": "60"}, {}, {}] == [grant["wishes"] for grant in issued(tmp_path)]


@pytest.mark.parametrize("way", ["environment", "input"])
def test_own_token(state: Path, way: str, demo: Running) -> None:
    """`--token` takes the token that is there already, and issues none."""
    token = demo.told["token"]
    before = issued(state)
    given = {"text": token} if way == "input" else {"ORGATE_TOKEN": token}
    ended = command(state, "connect", "claude", "--token", "--json", **given)

    assert token == json.loads(ended.stdout)["token"]
    assert before == issued(state)


def test_key_is_no_token(state: Path) -> None:
    """The OpenRouter key is not taken for a token."""
    ended = command(state, "connect", "claude", "--token", ORGATE_TOKEN="sk-or-v1-canary")

    assert (2, "") == (ended.exit_code, ended.stdout)
    assert "canary" not in ended.stderr


def test_other_gateway(tmp_path: Path, demo: Running) -> None:
    """Another gateway's address is taken with a token of its own, and asked for when there is none."""
    where = ("--url", f"{demo.told['base_url']}/v1/")
    ended = command(tmp_path, "connect", "claude", "--json", *where, ORGATE_TOKEN=demo.told["token"])
    without = command(tmp_path, "connect", "claude", *where, text="")

    assert demo.told["base_url"] == json.loads(ended.stdout)["environment"]["ANTHROPIC_BASE_URL"]
    assert 2 == without.exit_code
    assert "ORGATE_TOKEN" in without.stderr


def test_without_gateway(tmp_path: Path) -> None:
    """`connect` works before the gateway runs and says how to start it; `run` ends with 3."""
    ready = command(tmp_path, "connect", "claude")
    ended = orgate("run", "--state-dir", str(tmp_path), "sh", "-c", "echo never")

    assert "http://127.0.0.1:6767" in ready.stdout
    assert (0, 3, "") == (ready.exit_code, ended.returncode, ended.stdout)
    assert "orgate serve" in ready.stderr
    assert "orgate serve" in ended.stderr


def test_demo_is_told(state: Path, tmp_path: Path) -> None:
    """Who is connected to the demo, since nothing else runs, is told so."""
    (tmp_path / "demo").symlink_to(state, target_is_directory=True)
    ended = orgate("run", "--state-dir", str(tmp_path), "sh", "-c", "echo $OPENAI_API_KEY")

    assert "eyJ" in ended.stdout
    assert "(asking the demo)" in ended.stderr


def test_run_environment(state: Path, demo: Running) -> None:
    """`run` gives address and token by environment, takes the key out of it, and passes arguments as they are."""
    script = 'printf "%s\\n" "$OPENAI_BASE_URL" "$OPENAI_API_KEY" "$OPENROUTER_API_KEY" "$NO_PROXY" "$@"'
    ended = orgate(
        *("run", "--state-dir", str(state), "sh", "-c", script, "sh", "--help", "a b"),
        OPENROUTER_API_KEY="sk-or-v1-secret",
        HTTP_PROXY="http://127.0.0.1:9",
    )

    address, token, key, direct, *arguments = ended.stdout.splitlines()
    assert f"{demo.told['base_url']}/v1" == address
    assert 200 == models_status(demo.told["base_url"], token)
    assert "" == key
    assert "127.0.0.1" in direct
    assert ["--help", "a b"] == arguments


def test_run_with_dashes(state: Path) -> None:
    """Two dashes before the program's arguments are not the program's; later ones are."""
    ended = orgate("run", "--state-dir", str(state), "sh", "--", "-c", 'echo "$@"', "sh", "--", "-p")

    assert "-- -p\n" == ended.stdout


def test_run_keeps_its_token(state: Path) -> None:
    """`run` uses a program's last token again, until it was revoked."""
    run = ("run", "--state-dir", str(state), "sh", "-c", "echo $OPENAI_API_KEY")
    first, second = orgate(*run).stdout, orgate(*run).stdout
    orgate("token", "revoke", "sh", "--state-dir", str(state))

    assert first == second
    assert orgate(*run).stdout not in ("", first)


def test_run_exit_code_and_signals(state: Path) -> None:
    """The exit code is the program's own, and so are signals."""
    assert 37 == orgate("run", "--state-dir", str(state), "sh", "-c", "exit 37").returncode

    script = 'trap "echo caught; exit 5" TERM; echo ready; while :; do sleep 0.05; done'
    with subprocess.Popen(
        [ORGATE, "run", "--state-dir", str(state), "sh", "-c", script], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert "ready\n" == process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert "caught\n" == process.stdout.read()
    assert 5 == process.returncode


def test_run_shows_no_token(state: Path, tmp_path: Path) -> None:
    """No argument of a started program holds the token, and nothing is written into the user's home."""
    script = "import json, sys, os; print(json.dumps([sys.argv[1:], dict(os.environ)]))"
    for name in RUNNABLE:
        program = CLIENTS[name].program
        assert program is not None
        environment = fake(tmp_path, program, script) if name not in ("sh", "python", "node") else None
        if environment is None:
            continue
        told = orgate("run", "--state-dir", str(state), name, "--version", **environment)
        arguments, seen = json.loads(told.stdout)

        assert "--version" == arguments[-1]
        assert "eyJ" not in " ".join(arguments)
        assert any("eyJ" in value for value in seen.values()), name
    assert [] == list((tmp_path / "home").iterdir())


def test_run_missing_program(state: Path, tmp_path: Path) -> None:
    """A program that is not installed is told with the way to get it."""
    ended = orgate("run", "--state-dir", str(state), "claude", PATH=str(tmp_path))

    assert 1 == ended.returncode
    assert "npm install -g @anthropic-ai/claude-code" in ended.stderr


@pytest.mark.parametrize("name", ["zed", "nothing"])
def test_cannot_run(state: Path, name: str) -> None:
    """What takes no address from its environment, or is not known, is wrong usage, with what to do."""
    ended = orgate("run", "--state-dir", str(state), name)

    assert 2 == ended.returncode
    assert "orgate connect zed" in ended.stderr or "claude" in ended.stderr


def test_bedrock_is_left(state: Path, tmp_path: Path) -> None:
    """Claude Code is not led past the gateway by what else is set."""
    environment = fake(tmp_path, "claude", "import os; print(os.environ.get('CLAUDE_CODE_USE_BEDROCK'))")
    told = orgate("run", "--state-dir", str(state), "claude", CLAUDE_CODE_USE_BEDROCK="1", **environment)

    assert "None\n" == told.stdout
