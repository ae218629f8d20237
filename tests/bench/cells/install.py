"""What an installation brings along: packages, and megabytes on the disk."""

from __future__ import annotations

import json
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

from tests.bench.candidates.orgate import ROOT
from tests.bench.runner import Bench


def measure(bench: Bench) -> None:
    """orgate and what it requires, without extras, in this environment; peers by the folder they are in."""
    for candidate in bench.candidates:
        if candidate.name == "orgate":
            needed = _closure("orgate")
            size = sum(map(_size, needed.values())) + _own_size()
            packages = len(needed) + 1
        else:
            folder = candidate.installed(bench.prefix)
            if folder is None or not folder.exists():
                continue
            packages, size = _counted(folder)
        bench.add("install", "packages", "", candidate.name, packages)
        bench.add("install", "size", "MB", candidate.name, size / 1e6)


def _closure(name: str) -> dict[str, Distribution]:
    """Everything that a distribution requires, and what that requires."""
    found: dict[str, Distribution] = {}
    open_ends = [(name, frozenset[str]())]
    while open_ends:
        name, extras = open_ends.pop()
        try:
            one = distribution(name)
        except PackageNotFoundError:
            continue
        for text in one.requires or ():
            wanted = Requirement(text)
            key = wanted.name.lower().replace("_", "-")
            applies = wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in extras | {""})
            if applies and key not in found and key != "orgate":
                try:
                    found[key] = distribution(wanted.name)
                except PackageNotFoundError:
                    continue
                open_ends.append((wanted.name, frozenset(wanted.extras)))
    return found


def _size(one: Distribution) -> int:
    paths = (Path(str(one.locate_file(file))) for file in one.files or ())
    return sum(path.stat().st_size for path in paths if path.is_file())


def _own_size() -> int:
    return sum(_tree(ROOT / folder) for folder in ("app", "tray"))


def _tree(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _counted(folder: Path) -> tuple[int, int]:
    """Packages and bytes below a node_modules or a Python environment's lib."""
    python = list(folder.glob("python*/site-packages/*.dist-info"))
    if python:
        return sum(not path.name.startswith(("pip-", "setuptools-")) for path in python), _tree(folder)
    return sum(_is_package(path) for path in folder.rglob("package.json")), _tree(folder)


def _is_package(manifest: Path) -> bool:
    """A package's own manifest, not one that it has inside."""
    holder = manifest.parent.parent
    if holder.name.startswith("@"):
        holder = holder.parent
    return holder.name == "node_modules" and "version" in json.loads(manifest.read_bytes())
