"""The load generator, the upstream and the delaying proxy: C programs, built on demand."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

SOURCES = Path(__file__).with_name("native")


class NoCompiler(Exception):
    """The C programs cannot be built here."""


def build(folder: Path) -> Path:
    """The folder with the programs, built if they are older than their sources; raises NoCompiler."""
    compiler = os.environ.get("CC", "cc")
    missing = [name for name in ("make", compiler) if shutil.which(name) is None]
    if missing:
        raise NoCompiler(
            f"The benchmark's load generator is written in C, and {' and '.join(missing)} cannot be found. "
            "Install a compiler (Debian: apt install gcc make libc6-dev) or name one in CC."
        )
    folder.mkdir(parents=True, exist_ok=True)
    made = subprocess.run(
        ["make", "-s", "-f", SOURCES / "Makefile", f"VPATH={SOURCES}", f"CC={compiler}"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise NoCompiler(f"The benchmark's C programs could not be built (they need Linux):\n{made.stderr.strip()}")
    return folder
