"""Runs the programs in tests/e2e/node with the packages that its package.json names."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).with_name("node")
_INSTALL = ("install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error")
_PASSED = ("PATH", "SYSTEMROOT")
_ADDRESS = re.compile(r"fetch\('/")


class Missing(Exception):
    """Node or its packages cannot be had here."""

    @property
    def is_required(self) -> bool:
        """Whether that is a failure and not a reason to skip."""
        return os.environ.get("ORGATE_REQUIRE_CLIENTS") == "1"


@dataclass(frozen=True)
class Node:
    """A Node program and a folder in which the wanted packages are found."""

    program: str
    folder: Path

    def run(self, script: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run one of our programs to its end."""
        return self._run(self.folder / script, environment)

    def run_example(self, name: str, base_url: str, token: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run an example of the document with the address put in; token, and what else it needs, by environment."""
        text = (HERE / "document" / f"{name}.mjs").read_text("utf-8")
        assert _ADDRESS.search(text)
        place = self.folder / f"example-{name}.mjs"
        place.write_text(_ADDRESS.sub(f"fetch('{base_url}/", text), "utf-8")
        return self._run(place, {"TOKEN": token, **more})

    def _run(self, place: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        own = {name: os.environ[name] for name in _PASSED if name in os.environ}
        return subprocess.run(
            [self.program, str(place)],
            env={**own, **environment},
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )


def prepared(folder: Path) -> Node:
    """Node and a copy of our programs in this folder, with the packages installed; raises Missing."""
    program, npm = shutil.which("node"), shutil.which("npm")
    if program is None or npm is None:
        raise Missing("node and npm are not installed")
    for file in (HERE / "package.json", *HERE.glob("*.mjs")):
        shutil.copy(file, folder)
    if _is_installed(HERE / "node_modules"):
        (folder / "node_modules").symlink_to(HERE / "node_modules", target_is_directory=True)
        return Node(program, folder)
    done = subprocess.run([npm, *_INSTALL], cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    if not _is_installed(folder / "node_modules"):
        raise Missing(f"npm install failed: {done.stderr[-500:]}")
    return Node(program, folder)


def _is_installed(modules: Path) -> bool:
    wanted = json.loads((HERE / "package.json").read_text("utf-8"))["dependencies"]
    return all(_version(modules / name / "package.json") == version for name, version in wanted.items())


def _version(package: Path) -> str | None:
    return json.loads(package.read_text("utf-8"))["version"] if package.is_file() else None
