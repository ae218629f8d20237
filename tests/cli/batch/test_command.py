"""`orgate batch` from the outside: its input, its output, errors, budgets."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.core.money import NANO
from app.sandbox import Sandbox
from tests.agents import write as agent
from tests.cli.batch.runs import MODEL, Batches, billed, check_whole, posts, prompts, rows, text_of, write
from tests.cli.processes import ORGATE, orgate, started
from tests.gateway import KEY
from tests.lab.client.lab import comes_true


def test_order(make_batches: Callable[..., Batches], sandbox: Sandbox) -> None:
    """Answers stand in the order of the questions, whichever came first, with as many calls at once as was said."""
    made = make_batches()
    delays = [400, 0, 300, 0, 200, 0, 100, 0]
    write(made.source, [{"model": f"sandbox/delay-{ms}", "prompt": f"prompt{ms}"} for ms in delays])

    code, told = made.run("--concurrency", "4")

    found = rows(made.target)
    assert 0 == code, told
    assert [True] * 8 == [f"prompt{ms}”" in text_of(row) for ms, row in zip(delays, found, strict=True)]
    assert 8 == len(billed(sandbox))


def test_output_shape(make_batches: Callable[..., Batches]) -> None:
    """Each line of output has OpenAI's members, and the cost beside them."""
    made = make_batches()
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}
    write(made.source, [{"custom_id": "mine", "method": "POST", "url": "/v1/chat/completions", "body": body}])

    code, told = made.run()

    (row,) = rows(made.target)
    assert 0 == code, told
    assert {"id", "custom_id", "response", "error", "cost"} == row.keys()
    assert ("mine", None, 200) == (row["custom_id"], row["error"], row["response"]["status_code"])
    assert row["response"]["request_id"].startswith("call_")
    assert Decimal(row["cost"]) == Decimal(str(row["response"]["body"]["usage"]["cost"]))


def test_every_style(make_batches: Callable[..., Batches], sandbox: Sandbox) -> None:
    """One batch may hold requests of every API style, to agents too, and its costs add up to the bill."""
    made = make_batches()
    assert made.gateway is not None
    agent(made.gateway.folder, "kind", f'model = "{MODEL}"\nsystemPrompt = "Be kind."')
    said = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 20}
    bodies = {
        "chat/completions": said,
        "messages": said,
        "responses": {"input": "Hi"},
        "completions": {"prompt": "Hi"},
    }
    lines = [
        {"custom_id": f"{style} {model}", "url": f"/v1/{style}", "body": {"model": model, **body}}
        for style, body in bodies.items()
        for model in (MODEL, "agent/kind")
    ]
    vectors = {"url": "/v1/embeddings", "body": {"model": "openai/text-embedding-3-small", "input": "Hi"}}
    write(made.source, [*lines, vectors])

    code, told = made.run("--budget", "1")

    found = rows(made.target)
    assert (0, [200] * 9) == (code, [row["response"]["status_code"] for row in found]), told
    assert [line["custom_id"] for line in lines] == [row["custom_id"] for row in found[:-1]]
    assert Decimal(sandbox.bill()["total_cost"]) == sum(Decimal(row["cost"]) for row in found) > 0


def test_failed_lines(make_batches: Callable[..., Batches], sandbox: Sandbox) -> None:
    """A line that fails has its error where its answer would be, and the others are answered."""
    made = make_batches()
    models = ["sandbox/ok", "sandbox/404-no-endpoints", "sandbox/reset", "sandbox/ok"]
    write(made.source, [{"model": model, "prompt": "Hi"} for model in models])

    code, told = made.run()

    statuses = [row["response"]["status_code"] for row in rows(made.target)]
    assert (1, [200, 404, 504, 200]) == (code, statuses)
    assert "1 failed · 1 uncertain" in told
    assert rows(made.target)[1]["response"]["body"]["error"]["message"]
    assert 2 == len(billed(sandbox))


def test_busy_model(make_batches: Callable[..., Batches], sandbox: Sandbox) -> None:
    """A model that stays busy fails its line in the end."""
    made = make_batches()
    write(made.source, [{"model": "sandbox/503-retry-after-0", "prompt": "Hi"}, "Hi"])

    code, told = made.run()

    assert 1 == code, told
    assert [503, 200] == [row["response"]["status_code"] for row in rows(made.target)]


@pytest.mark.parametrize("last", ["{", '{"prompt": 3}', '{"custom_id": "line-1", "prompt": "x"}'])
def test_bad_input(make_batches: Callable[..., Batches], sandbox: Sandbox, last: str) -> None:
    """All lines are checked before the first is sent; the bad one is named."""
    made = make_batches()
    made.source.write_text(f'"a"\n"b"\n{last}\n')

    code, told = made.run()

    assert 2 == code
    assert "in.jsonl: Line 3: " in told
    assert [] == posts(sandbox)
    assert not made.journal.exists()


def test_existing_output(make_batches: Callable[..., Batches], sandbox: Sandbox) -> None:
    """A finished output is overwritten only on demand."""
    made = make_batches()
    write(made.source, ["Hi"])
    made.target.write_text("mine\n")

    refused, told = made.run()
    kept, nothing = made.target.read_text(), posts(sandbox)
    forced, _ = made.run("--force")

    assert (2, "mine\n", []) == (refused, kept, nothing)
    assert "--force" in told
    assert 0 == forced
    check_whole(made.target, sandbox, ["Hi"])


def test_streams(make_batches: Callable[..., Batches], tmp_path: Path) -> None:
    """Standard input and output serve as well, and no journal stays behind."""
    made = make_batches()

    ended = subprocess.run(
        [ORGATE, "batch", "-", "-", "--model", MODEL],
        input=b'"prompt1"\n"prompt2"',
        env={**os.environ, **made.environment},
        capture_output=True,
        timeout=60,
        check=False,
    )

    found = [json.loads(line) for line in ended.stdout.splitlines()]
    assert 0 == ended.returncode, ended.stderr
    assert [True, True] == [f"“prompt{number}”" in text_of(row) for number, row in enumerate(found, 1)]
    assert [] == list(Path.cwd().iterdir())


def test_summary(make_batches: Callable[..., Batches], sandbox: Sandbox) -> None:
    """--json tells the result to a program."""
    made = make_batches()
    write(made.source, prompts(3))

    ended = made.start("--json").communicate(timeout=60)

    cost = sandbox.bill()["total_cost"]
    expected = {"total": 3, "done": 3, "failed": 0, "uncertain": 0, "cost": cost, "stopped": None}
    assert expected == json.loads(ended[0]), ended


def test_budget(make_batches: Callable[..., Batches], sandbox: Sandbox) -> None:
    """No call begins that could exceed the batch's budget; a larger one goes on, and counts what was spent."""
    made = make_batches()
    write(made.source, [{"prompt": prompt, "max_tokens": 100} for prompt in prompts(30)])

    stopped, told = made.run("--budget", "0.0005", "--concurrency", "8")
    spent, once = Decimal(sandbox.bill()["total_cost"]), len(billed(sandbox))
    again, _ = made.run("--budget", "0.0005")
    still = len(billed(sandbox))
    code, last = made.run("--budget", "0.01")

    assert (1, 1) == (stopped, again), told
    assert "larger --budget" in told
    assert (True, True) == (0 < once < 30, spent <= Decimal("0.0005"))
    assert still - once <= 1
    assert 0 == code, last
    check_whole(made.target, sandbox, prompts(30))


def test_budget_without_price(make_batches: Callable[..., Batches], sandbox: Sandbox) -> None:
    """Where the price is not known the batch says so and goes one by one."""
    made = make_batches()
    write(made.source, [{"model": "openrouter/auto", "prompt": prompt} for prompt in prompts(3)])

    code, told = made.run("--budget", "1")

    assert 0 == code, told
    assert "price of 3 lines is not known" in told


@pytest.mark.parametrize("amount", ["0", "-1", "much", "nan"])
def test_bad_budget(make_batches: Callable[..., Batches], amount: str) -> None:
    """A budget is an amount of dollars."""
    made = make_batches()
    write(made.source, ["Hi"])

    assert 2 == made.run("--budget", amount)[0]


def test_apps_budget(make_batches: Callable[..., Batches], sandbox: Sandbox) -> None:
    """At the end of the app's own budget the batch stops, keeps what it has, and can go on."""
    made = make_batches(budgets={"total": NANO // 2000})
    write(made.source, [{"prompt": prompt, "max_tokens": 100} for prompt in prompts(30)])

    code, told = made.run()

    assert 1 == code
    assert "budget" in told
    assert "The same command goes on" in told
    assert 0 < len(billed(sandbox)) < 30
    assert not made.target.exists()


def test_what_others_set_aside(make_batches: Callable[..., Batches], sandbox: Sandbox) -> None:
    """Where the budget is short only for the calls under way, the batch waits for those instead of stopping."""
    made = make_batches(budgets={"total": NANO // 50})
    write(made.source, prompts(12))

    code, told = made.run("--concurrency", "4")

    assert 0 == code, told
    check_whole(made.target, sandbox, prompts(12))


def test_paused(make_batches: Callable[..., Batches], sandbox: Sandbox, tmp_path: Path) -> None:
    """When the owner pauses the program the batch stops and says so."""
    made = make_batches("10 per second")
    write(made.source, prompts(100))
    process = made.start()
    assert comes_true(lambda: len(billed(sandbox)) >= 10, within_s=20)
    assert made.gateway is not None
    made.gateway.services.relay.pause("batch")

    _, told = process.communicate(timeout=30)

    assert 1 == process.returncode
    assert "orgate resume" in told


def test_empty_account(make_batches: Callable[..., Batches], sandbox: Sandbox) -> None:
    """An account that cannot pay stops the batch; once it can, the same command goes on."""
    made = make_batches()
    write(made.source, prompts(5))
    sandbox.account(total_credits="7.42")

    code, told = made.run("--concurrency", "1")
    sandbox.account(total_credits="25")

    assert (1, []) == (code, billed(sandbox)), told
    assert made.journal.exists()


def test_no_gateway(tmp_path: Path) -> None:
    """Without a gateway it says how to start one."""
    write(tmp_path / "in.jsonl", ["Hi"])

    ended = orgate(
        "batch", str(tmp_path / "in.jsonl"), str(tmp_path / "o"), "-m", MODEL, "--state-dir", str(tmp_path / "s")
    )

    assert 3 == ended.returncode
    assert "orgate serve" in ended.stderr
    assert ["in.jsonl"] == [path.name for path in tmp_path.glob("*.*")]


def test_refused_token(make_batches: Callable[..., Batches], sandbox: Sandbox) -> None:
    """A token that does not count ends the batch at once, not line by line."""
    made = make_batches()
    write(made.source, prompts(5))
    bad: dict[str, Any] = {**made.environment, "ORGATE_TOKEN": "nobody"}

    ended = orgate("batch", str(made.source), str(made.target), "-m", MODEL, **bad)

    assert 1 == ended.returncode
    assert "0 of 5" in ended.stderr
    assert [] == posts(sandbox)


def test_as_another_program(sandbox: Sandbox, tmp_path: Path) -> None:
    """With --app a program of the owner's pays, under its limits, by a token that ends with the batch."""
    settings = {"OPENROUTER_API_KEY": KEY, "OPENROUTER_BASE_URL": sandbox.url}
    place = ("--state-dir", str(tmp_path / "state"))
    made = Batches(tmp_path, {})
    write(made.source, prompts(2))
    with started("serve", "--port", "0", *place, **settings):
        orgate("token", "issue", "script", "--models", "openai/gpt-4o-mini", *place)
        unknown, told = made.run("--app", "nobody", *place)
        code, last = made.run("--app", "script", *place)
        spent = json.loads(orgate("usage", "--by", "app", "--json", *place).stdout)
        tokens = json.loads(orgate("token", "list", "--json", *place).stdout)

    own = [grant for grant in tokens if grant["app"] == "script"]
    assert (1, 0) == (unknown, code), told + last
    assert ["script"] == [row["app"] for row in spent["data"]]
    assert [False, True] == [grant["revoked_at"] is not None for grant in own]
    assert [["openai/gpt-4o-mini"]] * 2 == [grant["models"] for grant in own]


def test_as_another_program_of_another_gateway(make_batches: Callable[..., Batches], sandbox: Sandbox) -> None:
    """A gateway that is known by its address only is spoken to with the program's token."""
    made = make_batches()
    write(made.source, ["Hi"])

    code, told = made.run("--app", "script")

    assert 2 == code
    assert "ORGATE_TOKEN" in told
    assert [] == posts(sandbox)
