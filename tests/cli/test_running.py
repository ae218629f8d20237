from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from app.core.sse import SseDecoder
from app.sandbox import Sandbox
from tests.cli.processes import ORGATE, Running, full_pipe, orgate, started
from tests.waiting import eventually

KEY = "sk-or-v1-" + "a" * 60
BODY = {"model": "sandbox/ok", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def served(sandbox: Sandbox, tmp_path: Path) -> Iterator[Running]:
    """`orgate serve` in front of the sandbox, with its key from a file."""
    folder = str(tmp_path / "state")
    orgate("key", "set", "--state-dir", folder, text=KEY)
    with started("serve", "--port", "0", "--state-dir", folder, OPENROUTER_BASE_URL=sandbox.url) as running:
        running.told["folder"] = folder
        yield running


def _chat(told: dict[str, Any], token: str, **body: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return requests.post(
        f"{told['base_url']}/v1/chat/completions",
        json={**BODY, **body},
        headers=headers,
        timeout=30,
        stream=bool(body.get("stream")),
    )


def test_demo(tmp_path: Path) -> None:
    """`orgate demo --json` says where it is and gives a token that opens everything; SIGTERM ends it with 0."""
    with started("demo", "--port", "0", "--state-dir", str(tmp_path / "d")) as demo:
        told = demo.told
        headers = {"Authorization": f"Bearer {told['token']}"}
        replies = [
            _chat(told, told["token"]),
            *(
                requests.get(f"{told['base_url']}/v1/{name}", headers=headers, timeout=10)
                for name in ("models", "credits")
            ),
            requests.get(f"{told['sandbox_url']}/_sandbox/bill", timeout=10),
        ]
        code = demo.stop()

    assert {200} == {reply.status_code for reply in replies}
    assert demo.process.pid == told["pid"]
    assert 0 == code


def test_demo_sees_no_key_of_the_owner(tmp_path: Path) -> None:
    """The demo talks to its own sandbox whatever the environment says."""
    environment = {"OPENROUTER_API_KEY": KEY, "OPENROUTER_BASE_URL": "http://127.0.0.1:9"}
    with started("demo", "--port", "0", "--state-dir", str(tmp_path / "d"), **environment) as demo:
        reply = _chat(demo.told, demo.told["token"])
        log = requests.get(f"{demo.told['sandbox_url']}/_sandbox/log", timeout=10).json()["requests"]

    assert 200 == reply.status_code
    assert not any(KEY[-4:] in str(entry["headers"].get("authorization")) for entry in log)


@pytest.mark.skipif(sys.platform == "win32", reason="file modes")
def test_state_is_the_owners(served: Running) -> None:
    """Everything the gateway writes is 0600 in a 0700 folder, and what a stopped one leaves says so."""
    folder = Path(served.told["folder"])
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    running = (folder / "gateway.json").exists()

    served.stop()

    assert 0o700 == stat.S_IMODE(folder.stat().st_mode)
    assert {0o600} == set(modes.values()), modes
    assert (True, False) == (running, (folder / "gateway.json").exists())


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_signal_during_the_start(tmp_path: Path, sandbox: Sandbox, sign: signal.Signals) -> None:
    """A gateway that is told to end before it is ready ends with 0 and leaves no word of a gateway that runs."""
    folder = tmp_path / "state"
    environment = {**os.environ, "OPENROUTER_API_KEY": KEY, "OPENROUTER_BASE_URL": sandbox.url}
    reading, writing = full_pipe()
    # It waits with its first line, which says that it is ready, until there is room for it.
    command = [ORGATE, "serve", "--port", "0", "--state-dir", str(folder)]
    with (
        os.fdopen(reading, "rb") as pipe,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=writing, env=environment) as process,
    ):
        os.close(writing)
        try:
            eventually((folder / "gateway.json").exists)
            process.send_signal(sign)
            pipe.read()
            code = process.wait(20)
        finally:
            process.kill()

    assert (0, False) == (code, (folder / "gateway.json").exists())


@pytest.mark.skipif(sys.platform != "linux", reason="sends a signal to a thread of another process")
@pytest.mark.parametrize("command", ["demo", "sandbox"])
def test_signal_that_wakes_nobody(tmp_path: Path, command: str) -> None:
    """A signal that does not interrupt the main thread's wait, by coming just before it or elsewhere, ends it too."""
    with started(command, "--port", "0", "--state-dir", str(tmp_path / "d")) as running:
        pid = running.process.pid
        other = next(int(name) for name in os.listdir(f"/proc/{pid}/task") if int(name) != pid)
        assert 0 == ctypes.CDLL(None).tgkill(pid, other, signal.SIGTERM)

        assert 0 == running.process.wait(20)


def test_no_key(tmp_path: Path) -> None:
    """Without a key `orgate serve` ends with 2 and says where to get one."""
    ended = orgate("serve", "--state-dir", str(tmp_path / "s"))

    assert (2, "") == (ended.returncode, ended.stdout)
    assert "https://openrouter.ai/settings/keys" in ended.stderr
    assert "orgate key set" in ended.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPENROUTER_API_KEY", "sk-ant-secret-canary"),
        ("OPENROUTER_API_KEY", "sk-or-v1-canary canary"),
        ("ORGATE_PORT", "sixty"),
        ("OPENROUTER_CACHE_TTL_CREDITS", "5 minutes"),
        ("ORGATE_RATE_CHAT", "lots"),
    ],
)
def test_bad_setting(tmp_path: Path, name: str, value: str) -> None:
    """A bad value stops the start with its name, and a secret is not repeated."""
    ended = orgate("serve", "--state-dir", str(tmp_path / "s"), **{name: value})

    assert 2 == ended.returncode
    assert name in ended.stderr
    assert "canary" not in ended.stderr


def test_other_machines_need_a_word(tmp_path: Path) -> None:
    """An address that others can reach is refused without --allow-remote."""
    ended = orgate("serve", "--host", "0.0.0.0", "--state-dir", str(tmp_path / "s"), OPENROUTER_API_KEY=KEY)

    assert 2 == ended.returncode
    assert "--allow-remote" in ended.stderr


def test_port_taken(tmp_path: Path) -> None:
    """A taken port ends the start with 4 and says by whom."""
    with closing(socket.create_server(("127.0.0.1", 0))) as holder:
        port = str(holder.getsockname()[1])
        ended = orgate("serve", "--port", port, "--state-dir", str(tmp_path / "s"), OPENROUTER_API_KEY=KEY)

    assert 4 == ended.returncode
    assert port in ended.stderr
    if sys.platform == "linux":
        assert f"pid {os.getpid()}" in ended.stderr


def test_second_instance(served: Running) -> None:
    """A second gateway on the same state folder is refused, and the first goes on."""
    folder = served.told["folder"]
    secret = (Path(folder) / "secret").read_bytes()

    ended = orgate("serve", "--port", "0", "--state-dir", folder, OPENROUTER_API_KEY=KEY)

    assert 4 == ended.returncode
    assert served.told["base_url"] in ended.stderr
    assert 204 == requests.get(f"{served.told['base_url']}/healthz", timeout=5).status_code
    assert secret == (Path(folder) / "secret").read_bytes()


def test_changed_key(served: Running, sandbox: Sandbox) -> None:
    """`orgate key set` takes effect in the running gateway; an answer under way finishes with the old key."""
    folder = served.told["folder"]
    token = orgate("token", "issue", "app", "--state-dir", folder).stdout.strip()
    running = _chat(served.told, token, model="sandbox/drip-50", stream=True)
    start = running.raw.read1(64)

    orgate("key", "set", "--state-dir", folder, text="  sk-or-v1-" + "b" * 60 + "\n")
    after = _chat(served.told, token)
    rest = b"".join(iter(lambda: running.raw.read1(65536), b""))

    keys = [entry["headers"]["authorization"][-4:] for entry in sandbox.log() if entry["method"] == "POST"]
    assert ["aaaa", "bbbb"] == keys
    assert 200 == after.status_code
    assert b"[DONE]" == SseDecoder().feed(start + rest)[-1]


def test_sigterm_ends_streams_honestly(served: Running) -> None:
    """SIGTERM lets a running answer finish; what ends within 10 s is whole, and the exit code is 0."""
    token = orgate("token", "issue", "app", "--state-dir", served.told["folder"]).stdout.strip()
    running = _chat(served.told, token, model="sandbox/drip-50", stream=True)
    start = running.raw.read1(64)

    served.process.send_signal(signal.SIGTERM)
    rest = b"".join(iter(lambda: running.raw.read1(65536), b""))

    assert b"[DONE]" == SseDecoder().feed(start + rest)[-1]
    assert 0 == served.process.wait(20)


def test_tokens(served: Running) -> None:
    """`token issue` prints the token alone; `list` shows what is on record; `revoke` ends it at once."""
    folder = served.told["folder"]
    issued = orgate("token", "issue", "editor", "--state-dir", folder)
    before = _chat(served.told, issued.stdout.strip()).status_code
    listed = json.loads(orgate("token", "list", "--json", "--state-dir", folder).stdout)

    revoked = orgate("token", "revoke", "editor", "--state-dir", folder)
    after = _chat(served.told, issued.stdout.strip()).status_code

    assert (1, "") == (issued.stdout.count("\n"), issued.stderr)
    assert ["orgate", "editor"] == [grant["app"] for grant in listed]
    assert issued.stdout.strip() not in json.dumps(listed)
    assert (0, 200, 401) == (revoked.returncode, before, after)
    assert 1 == orgate("token", "revoke", "editor", "--state-dir", folder).returncode


def test_questions_to_a_running_gateway(served: Running) -> None:
    """chat, credits, models and doctor find the gateway of the state folder by themselves."""
    where = ("--state-dir", served.told["folder"])

    chat = orgate("chat", "-m", "sandbox/echo", "Good morning", *where)
    whole = json.loads(orgate("chat", "--json", "-m", "sandbox/echo", *where, text="From a pipe").stdout)
    credits = json.loads(orgate("credits", "--json", *where).stdout)
    shown = orgate("credits", *where).stdout
    models = orgate("models", "gpt-4o", "--sort", "price", *where).stdout
    doctor = orgate("doctor", *where, OPENROUTER_BASE_URL="")

    assert "Good morning\n" == chat.stdout
    assert "$" in chat.stderr
    assert "From a pipe" == whole["choices"][0]["message"]["content"]
    assert 25 == credits["total_credits"]
    assert "of $25.00" in shown
    assert "openai/gpt-4o" in models
    assert doctor.stdout


def test_failing_chat(served: Running) -> None:
    """An answer that fails ends the command with 1 and the reason."""
    where = ("--state-dir", served.told["folder"])

    refused = orgate("chat", "-m", "sandbox/429-upstream", "x", *where)
    cut = orgate("chat", "-m", "sandbox/cut-3", "x", *where)

    assert (1, 1) == (refused.returncode, cut.returncode)
    assert "Provider returned error" in refused.stderr
    assert "broke off" in cut.stderr


def test_doctor_of_a_healthy_gateway(served: Running, sandbox: Sandbox) -> None:
    """The doctor looks at the document's whole troubleshooting table and ends in "healthy"."""
    folder = served.told["folder"]

    ended = orgate("doctor", "--state-dir", folder, OPENROUTER_BASE_URL=sandbox.url)
    told = json.loads(orgate("doctor", "--json", "--state-dir", folder, OPENROUTER_BASE_URL=sandbox.url).stdout)

    checks = {check["check"]: check["state"] for check in told["checks"]}
    assert (0, "healthy") == (ended.returncode, ended.stdout.splitlines()[-1])
    assert {"ok"} == set(checks.values()), checks
    assert {
        "key",
        "files",
        "port",
        "ledger",
        "pauses",
        "agents",
        "network",
        "models",
        "key at OpenRouter",
        "credits",
        "health",
        "quotas",
        "streaming headers",
        "streaming flush",
    } == set(checks)
    assert KEY not in ended.stdout + json.dumps(told)
    assert "environment" == told["settings"]["OPENROUTER_BASE_URL"]["origin"]


def test_doctor_says_what_to_do_first(tmp_path: Path, sandbox: Sandbox) -> None:
    """A missing key is what to do first, and the exit code is 1."""
    ended = orgate("doctor", "--state-dir", str(tmp_path / "s"), OPENROUTER_BASE_URL=sandbox.url)

    assert 1 == ended.returncode
    assert ended.stdout.splitlines()[-1].startswith("first: get one at https://openrouter.ai")


@pytest.mark.skipif(sys.platform == "win32", reason="file modes")
def test_doctor_sees_open_files(served: Running, sandbox: Sandbox) -> None:
    """A secret that others can read is found, with the command that closes it."""
    (Path(served.told["folder"]) / "secret").chmod(0o644)

    ended = orgate("doctor", "--state-dir", served.told["folder"], OPENROUTER_BASE_URL=sandbox.url)

    assert 1 == ended.returncode
    assert "chmod go=" in ended.stdout.splitlines()[-1]


def test_doctor_without_permission_for_credits(served: Running, sandbox: Sandbox) -> None:
    """A key that may not see the balance is a hint, not a fault."""
    sandbox.account(credits="forbidden")

    ended = orgate("doctor", "--state-dir", served.told["folder"], OPENROUTER_BASE_URL=sandbox.url)

    assert 0 == ended.returncode
    assert "OPENROUTER_MANAGEMENT_KEY" in ended.stdout


def test_sandbox_alone(tmp_path: Path) -> None:
    """`orgate sandbox` is a server of its own, and lists what it does on request."""
    listed = orgate("sandbox", "--list")
    with started("sandbox", "--port", "0", "--state-dir", str(tmp_path)) as running:
        url = running.told["base_url"]
        models = requests.get(f"{url}/api/v1/models", timeout=10).json()["data"]
        code = running.stop(signal.SIGINT)

    assert len(models) > 60
    assert 0 == code
    assert "sandbox/drip" in listed.stdout


def test_no_gateway(tmp_path: Path) -> None:
    """A question without a gateway ends with 3 and says how to start one."""
    ended = orgate("credits", "--state-dir", str(tmp_path / "s"))

    assert 3 == ended.returncode
    assert "orgate serve" in ended.stderr


def test_explain(served: Running) -> None:
    """`orgate explain` tells the story of any program's call."""
    folder = served.told["folder"]
    token = orgate("token", "issue", "editor", "--state-dir", folder).stdout.strip()
    call_id = _chat(served.told, token, model="sandbox/404-no-endpoints", models=["sandbox/ok"]).headers[
        "x-orgate-call-id"
    ]

    story = orgate("explain", call_id, "--state-dir", folder)
    unknown = orgate("explain", "call_unknown", "--state-dir", folder)

    assert (0, 1) == (story.returncode, unknown.returncode)
    assert "sandbox/404-no-endpoints" in story.stdout
    assert "answered" in story.stdout


def test_explain_cache(served: Running) -> None:
    """The story of a call says where its answer came from when it asked for the cache."""
    folder = served.told["folder"]
    token = orgate("token", "issue", "repeater", "--cache", "60", "--state-dir", folder).stdout.strip()
    bodies = [{"temperature": 0}, {"temperature": 0}, {"tool_choice": "none"}]
    ids = [_chat(served.told, token, model="sandbox/ok", **body).headers["x-orgate-call-id"] for body in bodies]

    miss, hit, bypass = (orgate("explain", call_id, "--state-dir", folder).stdout for call_id in ids)

    assert "no such answer" in miss
    assert "0 s old and came from the cache" in hit
    assert "Nothing was sent." in hit
    assert "not used for calls with tools" in bypass
