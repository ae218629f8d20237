from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests

from app.adapters.statefiles import locked
from app.core.money import NANO
from app.sandbox import Sandbox
from tests.cli.processes import Running, orgate, started
from tests.gateway import Gateway, running_gateway
from tests.lab.client.lab import comes_true
from tests.tray.places import announce, foreign_server, free_port

MODELS = ("openai/gpt-4o-mini", "anthropic/claude-haiku-4.5")
DAY_MS = 86_400_000


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Running]:
    """A running `orgate demo`, with its state folder."""
    folder = str(tmp_path / "d")
    with started("demo", "--port", "0", "--state-dir", folder) as running:
        running.told["folder"] = folder
        yield running


@pytest.fixture
def rested(sandbox: Sandbox, tmp_path: Path) -> Path:
    """The state folder of a gateway that two apps have spent money through, and that runs no more."""
    folder = tmp_path / "state"
    with running_gateway(sandbox, folder) as gateway:
        spend(gateway)
    return folder


def spend(gateway: Gateway) -> None:
    """Two apps, one of them with a budget, ask two models."""
    gateway.chat(MODELS[0], token=gateway.token("editor", budgets={"month": 50 * NANO}))
    gateway.chat(MODELS[1], "Tell me a long story.", token=gateway.token("notes"))


def command(folder: Path | str) -> Callable[..., str]:
    """Runs commands on this state folder, which must succeed, and returns what they print."""

    def run(*arguments: str) -> str:
        ended = orgate(*arguments, "--state-dir", str(folder))
        assert 0 == ended.returncode, ended.stdout + ended.stderr
        return ended.stdout

    return run


def bill(demo: Running) -> str:
    """What the demo's pretend OpenRouter has charged."""
    told: str = requests.get(f"{demo.told['sandbox_url']}/_sandbox/bill", timeout=10).json()["total_cost"]
    return told


def test_usage_through_the_gateway(demo: Running) -> None:
    """`orgate usage` tells what OpenRouter bills, as a table, as JSON and as CSV."""
    run = command(demo.told["folder"])
    for model in MODELS:
        run("chat", "-m", model, "Tell me a story.")
    assert comes_true(lambda: json.loads(run("usage", "--json"))["total_cost"] == bill(demo), within_s=10)

    whole = json.loads(run("usage", "--by", "model", "--since", "all", "--json"))
    rows = list(csv.DictReader(io.StringIO(run("usage", "--by", "model", "--csv"))))
    table = run("usage", "--by", "model", "--since", "today")

    assert bill(demo) == whole["total_cost"] != "0"
    assert [{name: str(value) for name, value in row.items()} for row in whole["data"]] == rows
    assert set(MODELS) == {row["model"] for row in rows}
    lines = table.splitlines()
    assert ["MODEL", "CALLS", "TOKENS", "IN", "OUT", "COST"] == lines[2].split()
    assert all("█" in line and "%" in line for line in lines[3:5])
    assert ["total", "2"] == lines[5].split()[:2]
    assert 1 == len({line.index("$") + len(line[line.index("$") :].split()[0]) for line in lines[3:6]})


def test_usage_without_a_gateway(rested: Path, sandbox: Sandbox) -> None:
    """Without a gateway the ledger itself is read, and says the same."""
    run = command(rested)

    told = json.loads(run("usage", "--by", "app", "--json"))
    ended = orgate("usage", "--by", "app", "--state-dir", str(rested))

    assert sandbox.bill()["total_cost"] == told["total_cost"] != "0"
    assert ["notes", "editor"] == [row["app"] for row in told["data"]]
    assert ("editor", "month", "50") == tuple(told["budgets"][0][name] for name in ("app", "period", "limit"))
    assert "no gateway is running" in ended.stderr
    assert "of $50.00" in ended.stdout
    assert "new in about" in ended.stdout


def test_same_with_and_without(sandbox: Sandbox, tmp_path: Path) -> None:
    """Read beside a running gateway, the ledger says what the gateway says."""
    with running_gateway(sandbox, tmp_path / "state") as gateway:
        spend(gateway)
        gateway.services.ledger.flush()
        through = gateway.get("/usage?by=app&since=30d").json()
        beside = json.loads(command(tmp_path / "state")("usage", "--by", "app", "--json"))

    assert {**through, "until": None} == {**beside, "until": None}


def test_after_a_crash(sandbox: Sandbox, tmp_path: Path) -> None:
    """What a crash has left without an end is told as unsettled, since nothing can be under way."""
    sandbox.account(generation_delay_ms=60_000)
    with running_gateway(sandbox, tmp_path / "state") as gateway:
        running = gateway.chat("sandbox/drip-500", stream=True)
        running.raw.read1(64)
        told = json.loads(command(tmp_path / "state")("usage", "--json"))
        shown = command(tmp_path / "state")("usage")
        running.close()

    assert told["held"] == told["unsettled"] != "0"
    assert "orgate reconcile" in shown


def test_usage_of_nothing(tmp_path: Path, rested: Path) -> None:
    """Where nothing was spent a sentence says so; programs get an empty report."""
    empty = command(tmp_path / "empty")
    told = json.loads(empty("usage", "--json"))

    assert ([], "0", []) == (told["data"], told["total_cost"], told["budgets"])
    assert "day,calls,attempts,prompt_tokens,completion_tokens,cost,estimated\n" == empty("usage", "--csv")
    assert "No calls yet" in empty("usage", "--since", "all")
    assert not (tmp_path / "empty" / "ledger.db").exists()
    assert "--since all" in command(rested)("usage", "--since", "2020-01-01", "--until", "2020-02-01")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--since", "yesterday"), "--since takes"),
        (("--until", "7"), "--until takes"),
        (("--since", "2999-01-01"), "--since lies"),
        (("--by", "hour"), "--by"),
        (("--csv", "--json"), "not both"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_misused(tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    """What cannot be meant is wrong usage and says which option it is."""
    ended = orgate("usage", *arguments, "--state-dir", str(tmp_path))

    assert (2, "") == (ended.returncode, ended.stdout)
    assert told in ended.stderr


def test_names_that_programs_choose(sandbox: Sandbox, tmp_path: Path) -> None:
    """A model's name neither steers the terminal nor is a formula in a spreadsheet."""
    with running_gateway(sandbox, tmp_path / "state") as gateway:
        for model in ("a/\x1b[2J\r\nb", '=HYPERLINK("http://evil")'):
            assert 400 == gateway.chat(model).status_code
    run = command(tmp_path / "state")

    table, rows = run("usage", "--by", "model"), list(csv.reader(io.StringIO(run("usage", "--by", "model", "--csv"))))

    assert "a/?[2J??b" in table
    assert {"a/?[2J??b", '\'=HYPERLINK("http://evil")'} == {row[0] for row in rows[1:]}


def test_pause_and_resume(demo: Running) -> None:
    """`orgate pause` stops a program in the running gateway until `orgate resume`; a slip of the pen stops nobody."""
    folder = demo.told["folder"]
    run = command(folder)
    token = run("token", "issue", "editor").strip()

    paused = run("pause", "editor")
    refused = orgate("chat", "-m", "sandbox/ok", "Hello", "--state-dir", folder, ORGATE_TOKEN=token)
    usage = run("usage")
    slip = orgate("pause", "edtor", "--state-dir", folder)
    resumed = run("resume", "editor")
    everybody = run("pause")
    alone = run("resume", "editor")
    lifted = json.loads(run("resume", "--json"))

    assert "editor is paused; no call was running." == paused.strip()
    assert (1, True) == (refused.returncode, "orgate resume" in refused.stderr)
    assert "Paused: editor" in usage
    assert (1, True) == (slip.returncode, "orgate token list" in slip.stderr)
    assert "editor may call again." == resumed.strip()
    assert everybody.startswith("Every program is paused")
    assert "one alone cannot be resumed" in alone
    assert {"paused": []} == lifted


def test_pause_without_a_gateway(rested: Path, sandbox: Sandbox) -> None:
    """A pause can be made and lifted without a gateway, which says so, and holds from its next start on."""
    run = command(rested)
    told = run("pause", "editor")
    doctor = json.loads(orgate("doctor", "--json", "--state-dir", str(rested)).stdout)
    with running_gateway(sandbox, rested) as gateway:
        statuses = [gateway.chat(token=gateway.token("editor")).status_code]
        lifted = run("resume")
        statuses.append(gateway.chat(token=gateway.token("editor")).status_code)

    assert "no gateway is running" in told
    assert "may call again" in lifted
    assert [503, 200] == statuses
    assert ("hint", "paused: editor") == next(
        (check["state"], check["told"]) for check in doctor["checks"] if check["check"] == "pauses"
    )


def test_reconcile(demo: Running) -> None:
    """`orgate reconcile --wait` waits until nothing is open, tells its progress apart, and says what it found."""
    folder, account = demo.told["folder"], f"{demo.told['sandbox_url']}/_sandbox/account"
    requests.post(account, json={"generation_delay_ms": 60_000}, timeout=10).raise_for_status()
    command(folder)("chat", "-m", "sandbox/no-usage", "Hello")
    still_open = orgate("reconcile", "--wait", "--timeout", "0", "--state-dir", folder)
    requests.post(account, json={"generation_delay_ms": 1_500}, timeout=10).raise_for_status()

    ended = orgate("reconcile", "--wait", "--state-dir", folder)
    again = json.loads(command(folder)("reconcile", "--json"))

    assert (1, True) == (still_open.returncode, "1 attempt still open" in still_open.stdout)
    assert (0, True) == (ended.returncode, "1 attempt settled." in ended.stdout or "No attempt" in ended.stdout)
    assert (0, 0, 0) == tuple(again[name] for name in ("settled", "written_off", "open"))
    assert bill(demo) == json.loads(command(folder)("usage", "--json"))["total_cost"] != "0"


def test_reconcile_needs_a_gateway(rested: Path) -> None:
    """Without a gateway there is nobody to ask OpenRouter."""
    assert 3 == orgate("reconcile", "--state-dir", str(rested)).returncode


def test_ledger_of_a_running_gateway(demo: Running, tmp_path: Path) -> None:
    """`orgate db` shows the ledger, checks and copies it while the gateway goes on, and trims it through that."""
    folder = Path(demo.told["folder"])
    run = command(folder)
    run("chat", "-m", "sandbox/ok", "Hello")
    assert comes_true(lambda: json.loads(run("usage", "--json"))["data"], within_s=10)

    state = json.loads(run("db", "--json"))
    shown = run("db")
    sound = json.loads(run("db", "check", "--json"))
    copied = json.loads(run("db", "backup", str(tmp_path / "copy.db"), "--json"))
    trimmed = json.loads(run("db", "trim", "--older-than", "365d", "--json"))
    accepted = run("db", "accept")

    assert (str(folder / "ledger.db"), 1) == (state["path"], state["attempts"])
    assert {"path", "size_bytes", "attempts", "oldest_at", "last_backup", "trouble", "locked"} == set(state)
    assert "Writing   works" in shown
    assert {"path": state["path"], "sound": True, "fault": None} == sound
    assert 0 == trimmed["removed"]
    assert "nothing to accept" in accepted
    assert copied["size_bytes"] == (tmp_path / "copy.db").stat().st_size
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert (1,) == copy.execute("SELECT count(*) FROM attempts").fetchone()


def test_copies_replace_nothing(rested: Path, tmp_path: Path) -> None:
    """A copy never takes the place of another file unasked, nor that of the ledger at all."""
    there = tmp_path / "there"
    there.write_text("mine")
    where = ("--state-dir", str(rested))

    refused = orgate("db", "backup", str(there), *where)
    itself = orgate("db", "backup", str(rested / "ledger.db"), "--force", *where)
    nowhere = orgate("db", "backup", str(tmp_path / "no" / "copy.db"), *where)
    kept = there.read_text()
    forced = orgate("db", "backup", str(there), "--force", *where)

    assert [1, 2, 1, 0] == [each.returncode for each in (refused, itself, nowhere, forced)]
    assert "--force" in refused.stderr
    assert "mine" == kept
    assert there.read_bytes().startswith(b"SQLite format 3")
    assert 0o600 == there.stat().st_mode & 0o777


def test_trim_without_a_gateway(rested: Path, sandbox: Sandbox) -> None:
    """Old attempts can be removed without a gateway; what they cost stays in every report."""
    with closing(sqlite3.connect(rested / "ledger.db")) as ledger:
        ledger.execute("UPDATE attempts SET at = at - ? WHERE app = 'editor'", (400 * DAY_MS,))
        ledger.commit()
    run = command(rested)

    told = run("db", "trim", "--older-than", "365d")

    assert told.startswith("Removed 1 attempt from before ")
    assert 1 == json.loads(run("db", "show", "--json"))["attempts"]
    assert sandbox.bill()["total_cost"] == json.loads(run("usage", "--json"))["total_cost"]
    assert "There were no attempts" in run("db", "trim", "--before", "2026-01-01")


def test_trim_makes_room(rested: Path) -> None:
    """Without a gateway the room that old attempts took is given back, and what stays is sound."""
    with closing(sqlite3.connect(rested / "ledger.db")) as ledger:
        columns = [row[1] for row in ledger.execute("PRAGMA table_info(attempts)")]
        copied = ", ".join({"id": "'old' || n", "at": "n"}.get(name, name) for name in columns)
        counted = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 5000)"
        one = "(SELECT * FROM attempts LIMIT 1)"
        ledger.execute(f"{counted} INSERT INTO attempts SELECT {copied} FROM numbers, {one}")
        ledger.commit()
    before = (rested / "ledger.db").stat().st_size
    run = command(rested)

    told = run("db", "trim", "--older-than", "365d")

    assert "5,000 attempts" in told
    assert (rested / "ledger.db").stat().st_size < before / 4
    assert "sound" in run("db", "check")


@pytest.mark.parametrize("arguments", [("trim", "--older-than", "9d"), ("accept",)], ids=" ".join)
def test_newer_ledger(rested: Path, arguments: tuple[str, ...]) -> None:
    """A ledger that a newer orgate has written is left alone, and it is said what to do."""
    with closing(sqlite3.connect(rested / "ledger.db")) as ledger:
        ledger.execute("UPDATE facts SET value = '99' WHERE name = 'version'")
        ledger.commit()

    ended = orgate("db", *arguments, "--state-dir", str(rested))

    assert (1, True) == (ended.returncode, "newer orgate" in ended.stderr and "Update orgate" in ended.stderr)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), 2),
        (("--before", "never"), 2),
        (("--before", "2026-01-01", "--older-than", "9d"), 2),
        (("--before", "1h"), 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_trim(rested: Path, arguments: tuple[str, ...], code: int) -> None:
    """What names no moment, two of them, or one within the last day removes nothing."""
    assert code == orgate("db", "trim", *arguments, "--state-dir", str(rested)).returncode
    assert 2 == json.loads(command(rested)("db", "--json"))["attempts"]


@pytest.mark.parametrize("arguments", [("trim", "--older-than", "9d"), ("accept",)], ids=" ".join)
def test_one_writer(rested: Path, arguments: tuple[str, ...]) -> None:
    """While something else holds the state folder the ledger is not written beside it."""
    with locked(rested / "lock", wait=False):
        assert 4 == orgate("db", *arguments, "--state-dir", str(rested)).returncode


def test_damaged_ledger(rested: Path, sandbox: Sandbox) -> None:
    """
    Damage is found and told with what to do; nothing is read or accepted unseen. Afterwards the owner's word is needed.
    """
    where = ("--state-dir", str(rested))
    damage(rested / "ledger.db")

    check = orgate("db", "check", *where)
    others = [orgate(*words, *where) for words in (("usage",), ("db",), ("db", "accept"))]
    doctor = json.loads(orgate("doctor", "--json", *where).stdout)
    with running_gateway(sandbox, rested) as gateway:
        budget = gateway.token("editor", budgets={"month": 50 * NANO})
        locked_out = gateway.chat(MODELS[0], token=budget)
        shown = command(rested)("db")
    accepted = command(rested)("db", "accept")
    with running_gateway(sandbox, rested) as gateway:
        again = gateway.chat(MODELS[0], token=budget)

    assert (1, True) == (check.returncode, "damaged" in check.stdout)
    assert [1, 1, 1] == [each.returncode for each in others]
    assert all("Traceback" not in each.stderr for each in (check, *others))
    assert "bad" == next(check["state"] for check in doctor["checks"] if check["check"] == "ledger")
    assert (503, "ledger_locked") == (locked_out.status_code, locked_out.json()["error"]["code"])
    assert "orgate db accept" in shown
    assert accepted.startswith("Accepted (the ledger was damaged)")
    assert 200 == again.status_code


def damage(path: Path) -> None:
    """Overwrite the ledger, its first page aside, with something else."""
    content = bytearray(path.read_bytes())
    content[4096:] = bytes(byte ^ 0x5A for byte in content[4096:])
    path.write_bytes(content)


@pytest.mark.parametrize("words", [("db",), ("db", "check"), ("db", "backup", "copy.db")], ids=" ".join)
def test_no_ledger(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Where there is no ledger none is made, and a sentence says so."""
    ended = orgate(*words, "--state-dir", str(tmp_path / "none"))

    assert (1, True) == (ended.returncode, "no ledger yet" in ended.stderr)
    assert not (tmp_path / "none" / "ledger.db").exists()


def test_stale_whereabouts(rested: Path) -> None:
    """A gateway that crashed is not taken for a running one, though another program has its process id by now."""
    (rested / "gateway.json").write_text(json.dumps({"base_url": "http://127.0.0.1:9", "pid": 1}))

    ended = orgate("usage", "--state-dir", str(rested))

    assert (0, True) == (ended.returncode, "no gateway is running" in ended.stderr)


@pytest.mark.parametrize("command", ["usage", "doctor"])
def test_another_program_on_a_crashed_gateways_port(rested: Path, command: str) -> None:
    """What answers at the address of a crashed gateway is not taken for it, and is not shown the token."""
    with foreign_server(200) as other:
        announce(rested, other.url, "a-secret-token")
        ended = orgate(command, "--state-dir", str(rested), ORGATE_PORT=str(free_port()))

    assert "no gateway is running" in ended.stdout + ended.stderr
    assert "a-secret-token" not in str(other.headers)


def test_old_token_is_renewed(sandbox: Sandbox, tmp_path: Path) -> None:
    """A command line's token from before it could do all is replaced when the gateway starts."""
    folder = tmp_path / "d"
    with started("demo", "--port", "0", "--state-dir", str(folder)) as first:
        first.stop()
    book = json.loads((folder / "tokens.json").read_text())
    for grant in book["tokens"]:
        grant["scopes"] = [scope for scope in grant["scopes"] if scope != "control"]
    (folder / "tokens.json").write_text(json.dumps(book))
    old = (folder / "token").read_text()

    with started("demo", "--port", "0", "--state-dir", str(folder)):
        told = command(folder)("pause")

    assert old != (folder / "token").read_text()
    assert "Every program is paused" in told
