"""Batches that are killed, and go on without paying for anything twice."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.sandbox import Sandbox
from tests.cli.batch.runs import MODEL, Batches, billed, check_whole, posts, prompts, rows, write
from tests.cli.processes import ORGATE, Running, started
from tests.gateway import KEY
from tests.lab.client.lab import comes_true
from tests.lab.client.raw_app import pause

_LONG = bool(os.environ.get("ORGATE_LONG"))
_MINUTE = "30 per second"
"""The quota of 30 per minute, with the clock sixty times as fast."""


def _killed(made: Batches, sandbox: Sandbox, after: int) -> None:
    """A run that is killed once so many generations were billed."""
    process = made.start("--concurrency", "8")
    assert comes_true(lambda: len(billed(sandbox)) >= after or process.poll() is not None, within_s=60)
    assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGKILL)
    process.wait(10)


def _check_quota(sandbox: Sandbox) -> None:
    """What is counted is the leaving; when it arrives is up to the machine as well."""
    times = [row["at_mono_ns"] / 1e9 for row in posts(sandbox)]
    assert not [later - earlier for earlier, later in zip(times, times[30:], strict=False) if later - earlier < 0.7]


def test_five_hundred(make_batches: Callable[..., Batches], sandbox: Sandbox) -> None:
    """500 prompts against a quota of 30 finish complete and in order, killed at half; nothing is paid twice."""
    asked = prompts(500)
    made = make_batches(_MINUTE)
    write(made.source, asked)
    _killed(made, sandbox, 250)
    before = len(billed(sandbox))

    code, told = made.run("--concurrency", "8")

    assert (0, True) == (code, 250 <= before < 500), told
    assert not made.journal.exists()
    check_whole(made.target, sandbox, asked)
    _check_quota(sandbox)


@pytest.mark.long
def test_killed_again_and_again(make_batches: Callable[..., Batches], sandbox: Sandbox) -> None:
    """The same, killed at many random moments, a few of them within the start."""
    asked = prompts(500 if _LONG else 60)
    made = make_batches(_MINUTE if _LONG else "8 per second")
    write(made.source, asked)
    chance = random.Random(7)
    for _ in range(40 if _LONG else 6):
        process = made.start("--concurrency", "8")
        pause(chance.uniform(0.2, 0.9))
        process.kill()
        process.wait(10)

    code, told = made.run("--concurrency", "8")

    assert 0 == code, told
    check_whole(made.target, sandbox, asked)


def test_lines_under_way(make_batches: Callable[..., Batches], sandbox: Sandbox) -> None:
    """Lines that were with the model when the batch was killed are not sent again: their answers are fetched."""
    made = make_batches()
    write(made.source, [{"model": "sandbox/delay-1000", "prompt": prompt} for prompt in prompts(4)])
    process = made.start("--concurrency", "4")
    assert comes_true(lambda: len(posts(sandbox)) == 4, within_s=20)
    assert [] == billed(sandbox)
    process.kill()
    process.wait(10)

    code, told = made.run("--concurrency", "4")

    assert 0 == code, told
    assert 4 == len(posts(sandbox))
    check_whole(made.target, sandbox, prompts(4))


def test_interrupted(make_batches: Callable[..., Batches], sandbox: Sandbox) -> None:
    """Ctrl-C begins nothing more, keeps what is done and says how to go on."""
    asked = prompts(60)
    made = make_batches("30 per 3 seconds")
    write(made.source, asked)
    process = made.start()
    assert comes_true(lambda: len(billed(sandbox)) >= 20, within_s=30)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=20)
    assert (1, True) == (process.returncode, len(billed(sandbox)) < 60)
    assert "The same command goes on" in told
    assert not made.target.exists()

    code, told = made.run()

    assert 0 == code, told
    check_whole(made.target, sandbox, asked)


@pytest.mark.parametrize("change", ["edited", "shorter", "model"])
def test_changed_input(make_batches: Callable[..., Batches], sandbox: Sandbox, change: str) -> None:
    """A batch goes on only with the input it was begun with; otherwise it says what differs and sends nothing."""
    asked = prompts(20)
    made = make_batches("10 per minute")
    write(made.source, asked)
    _killed(made, sandbox, 10)
    seen = len(posts(sandbox))
    write(made.source, {"edited": [*asked[:4], "other", *asked[5:]], "shorter": asked[:-1], "model": asked}[change])

    code, told = made.run(*(["--model", "openai/gpt-4o"] if change == "model" else []))

    assert 2 == code
    assert {"edited": "line 5", "shorter": "20 lines and now are 19", "model": "line 1"}[change] in told
    assert seen == len(posts(sandbox))


def test_torn_journal(make_batches: Callable[..., Batches], sandbox: Sandbox) -> None:
    """A journal that ends within a record is good up to there: the answer is fetched again."""
    asked = prompts(10)
    made = make_batches("9 per 3 seconds")
    write(made.source, asked)
    _killed(made, sandbox, 9)
    made.journal.write_bytes(made.journal.read_bytes()[:-20])

    code, told = made.run()

    assert 0 == code, told
    check_whole(made.target, sandbox, asked)


def test_damaged_journal(make_batches: Callable[..., Batches], sandbox: Sandbox) -> None:
    """A journal that is none is not used and not overwritten."""
    made = make_batches()
    write(made.source, prompts(3))
    made.journal.write_text('{"mine": true}\n')

    code, told = made.run()

    assert (2, '{"mine": true}\n') == (code, made.journal.read_text())
    assert "out.jsonl.part" in told
    assert [] == posts(sandbox)


def test_full_disk(make_batches: Callable[..., Batches], sandbox: Sandbox) -> None:
    """A journal that cannot be written ends the batch; it goes on when there is room, and pays for nothing twice."""
    asked = prompts(10)
    made = make_batches()
    write(made.source, asked)
    limited = f"ulimit -f 6; exec {ORGATE} batch in.jsonl out.jsonl --model {MODEL}"
    ended = subprocess.run(
        ["bash", "-c", limited],
        cwd=made.folder,
        env={**os.environ, **made.environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (1, True) == (ended.returncode, 0 < len(posts(sandbox)) < 10), ended.stderr
    assert "File too large" in ended.stderr

    code, told = made.run()

    assert 0 == code, told
    check_whole(made.target, sandbox, asked)


def test_second_process(make_batches: Callable[..., Batches], sandbox: Sandbox) -> None:
    """Two processes do not work on one batch."""
    made = make_batches()
    write(made.source, [{"model": "sandbox/delay-2000", "prompt": "one"}])
    first = made.start()
    assert comes_true(lambda: posts(sandbox), within_s=20)

    code, told = made.run()

    assert 4 == code
    assert "Another orgate batch" in told
    assert 0 == first.wait(20)
    assert 1 == len(billed(sandbox))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def test_gateway_killed(sandbox: Sandbox, tmp_path: Path) -> None:
    """
    Lines that were under way when the gateway itself was killed are uncertain: the others go on with the next gateway,
    these are not sent again until the owner says so.
    """
    settings = {"OPENROUTER_API_KEY": KEY, "OPENROUTER_BASE_URL": sandbox.url, "ORGATE_RATE_CHAT": "1000 per second"}
    place = ("--state-dir", str(tmp_path / "state"))
    made = Batches(tmp_path, {})
    slow = [{"model": "sandbox/delay-3000", "prompt": prompt} for prompt in prompts(2)]
    write(made.source, [*slow, *prompts(20)[2:]])

    def serve() -> Running:
        return stack.enter_context(started("serve", "--port", port, *place, **settings))

    with ExitStack() as stack:
        stack.callback(made.end)
        port = str(_free_port())
        gateway = serve()
        process = made.start("--concurrency", "2", *place)
        assert comes_true(lambda: len(posts(sandbox)) == 2, within_s=20)
        gateway.process.kill()
        gateway.process.wait(10)
        serve()
        _, told = process.communicate(timeout=60)
        once = len(posts(sandbox))
        again, told_again = made.run(*place)
        still = len(posts(sandbox))
        code, last = made.run("--retry-uncertain", *place)

    assert (1, 20) == (process.returncode, once), told
    assert "2 uncertain" in told
    assert (1, 20) == (again, still), told_again
    assert "--retry-uncertain" in told_again
    assert (0, 22) == (code, len(posts(sandbox))), last
    assert [200] * 20 == [row["response"]["status_code"] for row in rows(made.target)]
    assert not made.journal.exists()
