from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.agents.reading import read
from app.settings import OPTIONS, unknown_names
from app.web.auth import SCOPE_OF
from tray import settings as tray_settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def _command(mark: str) -> str:
    found = re.search(rf"<!-- {mark} -->\n```sh\n(.+?)\n```", README, re.DOTALL)
    assert found is not None
    return found.group(1)


def test_settings_table() -> None:
    """The README's table of settings is the one in the code: names, defaults, words."""
    rows = [f"| `{one.name}` | {f'`{one.default}`' if one.default else '–'} | {one.help} |" for one in OPTIONS]

    assert "\n".join(rows) in README


def test_agent() -> None:
    """The README's agent is one that the gateway takes."""
    found = re.search(r"```toml\n(.+?)```", README, re.DOTALL)

    assert found is not None
    assert "Research Assistant" == read("research", found.group(1)).name


def test_table_of_the_trays_settings() -> None:
    """The README's table of the tray's settings is the one in the code, and the gateway takes none for a slip."""
    rows = [
        f"| `{one.name}` | {f'`{one.argument}`' if one.argument else '–'} | "
        f"{f'`{one.default}`' if one.default else '–'} | {one.help} |"
        for one in tray_settings.OPTIONS
    ]
    environment = {name: "x" for one in tray_settings.OPTIONS for name in (one.name, f"{one.name}_FILE")}

    assert "\n".join(rows) in README
    assert {} == unknown_names(environment)


def test_routes() -> None:
    """The README names every route."""
    named_otherwise = {
        "alive": "healthz",
        "call": "calls/ID",
        "count_tokens": "messages/count_tokens",
        "model": "models/ID",
        "openapi": "openapi.json",
        "endpoints": "models/{author}/{slug}/endpoints",
    }
    views = {view.partition(".")[2] for view in SCOPE_OF}
    names = {named_otherwise.get(view, view.replace("_", "/")) for view in views}

    assert all(f"/{name}`" in README for name in names)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The README's first command, run in a copy of what git would clone."""
    clone = tmp_path / "clone"
    tracked = subprocess.check_output(["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, text=True).split(
        "\0"
    )
    for name in filter(None, tracked):
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clone / name)
    process = subprocess.Popen(
        ["bash", "-c", _command("first command")],
        cwd=clone,
        env={**os.environ, "ORGATE_PORT": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, 15)
        process.communicate(timeout=20)


def test_first_command(demo: subprocess.Popen[str]) -> None:
    """A new user's first command ends in a running demo, and what it prints works when pasted."""
    assert demo.stdout is not None
    printed = ""
    for line in demo.stdout:
        printed += line
        if "Ctrl-C" in line:
            break
    curl = re.search(r"^curl .+?\n\n", printed, re.DOTALL | re.MULTILINE)
    snippet = re.search(r"^from openai .+?(?=\n\S+ another terminal)", printed, re.DOTALL | re.MULTILINE)
    assert curl is not None, printed
    assert snippet is not None, printed

    by_curl = subprocess.check_output(["bash", "-c", curl.group()], text=True, stderr=subprocess.DEVNULL, timeout=30)
    by_sdk = subprocess.check_output([sys.executable, "-c", snippet.group()], text=True, timeout=60)

    assert "data: [DONE]" in by_curl
    assert "Tell me a story." in by_sdk


def test_names_nothing_foreign() -> None:
    """No file of the project names a machine's paths."""
    tracked = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True).split("\0")
    text = "".join(
        (ROOT / name).read_text("utf-8", "replace") for name in tracked if name.endswith((".py", ".md", ".cfg"))
    )

    assert "/" + "work/" not in text
    assert "/" + "root/" not in text
