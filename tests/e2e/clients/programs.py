"""
Real programs from the registries, each installed once and kept in the machine's temporary folder.

A folder's name holds what is in it, so that a changed pin makes another folder.
"""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.e2e.node_runner import Missing

HERE = Path(__file__).parent
_NPM = ("install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error")
_PIP = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--disable-pip-version-check")


def python_packages() -> Path:
    """The folder in which Python finds the clients of python/requirements.txt; raises Missing."""
    pins = HERE / "python" / "requirements.txt"

    def install(folder: Path) -> None:
        _run([sys.executable, *_PIP, "--target", str(folder), "-r", str(pins)], folder)

    return _kept("python", pins, install)


def npm_packages(name: str) -> Path:
    """The folder with our programs of this kind and `node_modules` beside them; raises Missing."""
    npm = shutil.which("npm")
    if npm is None:
        raise Missing("node and npm are not installed")
    pins = HERE / name / "package.json"

    def install(folder: Path) -> None:
        shutil.copy(pins, folder)
        _run([npm, *_NPM], folder)

    folder = _kept(name, pins, install)
    for program in (HERE / name).glob("*.mjs"):
        shutil.copy(program, folder)
    return folder


def _kept(name: str, pins: Path, install: Callable[[Path], None]) -> Path:
    """The folder that `install` filled, in this run or in one before."""
    digest = hashlib.sha256(pins.read_bytes() + platform.python_version().encode()).hexdigest()[:16]
    root = Path(tempfile.gettempdir()) / f"orgate-clients-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    if root.stat().st_uid != os.getuid():
        raise Missing(f"{root} belongs to somebody else")
    place = root / f"{name}-{digest}"
    if not place.exists():
        draft = root / f".{name}-{secrets.token_hex(4)}"
        draft.mkdir()
        try:
            install(draft)
            draft.rename(place)
        except OSError:
            # Another run was faster.
            if not place.exists():
                raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return place


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise Missing(f"{command[0]} failed: {(done.stderr or done.stdout)[-500:]}")
