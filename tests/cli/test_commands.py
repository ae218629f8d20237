from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from app.cli.main import cli
from tests.adapters.ledger.ledgers import opened
from tests.cli.processes import orgate


def _paths(command: click.Command, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(command, click.Group):
        return [path]
    context = click.Context(command)
    names = command.list_commands(context)
    found = [each for name in names for each in _paths(command.get_command(context, name), (*path, name))]  # type: ignore[arg-type]
    return [path, *found]


@pytest.mark.parametrize("path", _paths(cli), ids=" ".join)
def test_help(path: tuple[str, ...]) -> None:
    """Every command explains itself with an example."""
    ended = orgate(*path, "--help")

    assert 0 == ended.returncode
    assert "Example:" in ended.stdout
    assert f"orgate {' '.join(path)}".strip() in ended.stdout


def test_help_is_light() -> None:
    """--help loads neither web framework nor network library nor settings."""
    assert set() == loaded("--help") & {"flask", "requests", "urllib3", "jwt", "sqlalchemy", "app.settings"}


def test_reports_are_light(tmp_path: Path) -> None:
    """A report that is read from the ledger itself loads no web framework and no network library."""
    opened(tmp_path / "ledger.db").stop()

    modules = loaded("usage", "--state-dir", str(tmp_path))

    assert "sqlalchemy" in modules
    assert set() == modules & {"flask", "werkzeug", "requests", "urllib3", "waitress"}


def loaded(*arguments: str) -> set[str]:
    """The modules that a process has in the end which ran this command."""
    script = (
        "import sys; from click.testing import CliRunner; from app.cli.main import cli; "
        f"assert CliRunner().invoke(cli, {list(arguments)!r}).exit_code == 0; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    return set(done.stdout.split())


def test_unknown_command() -> None:
    """A command that does not exist is wrong usage."""
    assert 2 == orgate("dance").returncode


def test_key_is_kept_and_masked(tmp_path: Path) -> None:
    """`key set` reads the key without echo and trims it; `key show` never shows it."""
    key, where = "sk-or-v1-" + "c" * 50 + "wxyz", ("--state-dir", str(tmp_path / "s"))

    kept = orgate("key", "set", *where, text=f" {key}\r\n")
    shown = orgate("key", "show", *where)

    assert (0, 0) == (kept.returncode, shown.returncode)
    assert "wxyz" in shown.stdout
    assert key not in kept.stdout + kept.stderr + shown.stdout + shown.stderr
    assert key == (tmp_path / "s" / "key").read_text().strip()


@pytest.mark.parametrize("text", ["", "hello", "sk-ant-api03-canary", "sk-or-v1-ca nary", '"sk-or-v1-canary"'])
def test_bad_key(tmp_path: Path, text: str) -> None:
    """What is no key is refused with 2, is not repeated and not kept."""
    ended = orgate("key", "set", "--state-dir", str(tmp_path / "s"), text=text)

    assert 2 == ended.returncode
    assert "nary" not in ended.stdout + ended.stderr
    assert not (tmp_path / "s" / "key").exists()


def test_no_key_to_show(tmp_path: Path) -> None:
    """Without a key `key show` says where to get one."""
    ended = orgate("key", "show", "--state-dir", str(tmp_path / "s"))

    assert 1 == ended.returncode
    assert "https://openrouter.ai/settings/keys" in ended.stderr


def test_named_key_is_told(tmp_path: Path) -> None:
    """`key set` tells when a key in the environment would still win."""
    ended = orgate("key", "set", "--state-dir", str(tmp_path / "s"), text="sk-or-v1-b", OPENROUTER_API_KEY="sk-or-v1-a")

    assert 0 == ended.returncode
    assert "OPENROUTER_API_KEY" in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [("issue", "bad/name"), ("issue", "app", "--rate-chat", "often"), ("issue", "app", "--days", "4000")],
    ids=lambda arguments: " ".join(arguments),
)
def test_bad_tokens(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """A token that cannot be issued is wrong usage, with the reason."""
    ended = orgate("token", *arguments, "--state-dir", str(tmp_path / "s"))

    assert (2, "") == (ended.returncode, ended.stdout)
    assert ended.stderr
