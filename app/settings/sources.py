"""Where the texts of settings come from, strongest first."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.core.redact import redact


class SettingsError(Exception):
    """A setting that cannot be used; the message names it, what is wrong and what to do, and holds no secret."""


@dataclass(frozen=True)
class Found:
    """The text of one setting and where it stood."""

    text: str
    origin: str
    file: Path | None = None
    """The file that a `_FILE` twin named."""


@dataclass(frozen=True)
class Folders:
    """Where orgate keeps its own files."""

    state: Path
    """Secret, tokens, lock, and what a running gateway tells its own tools."""
    config: Path
    """Key, `config.toml`, `.env`, agents."""


class Sources:
    """
    Arguments, environment, `.env` (here, then in the configuration folder) and `config.toml`, as they are now.

    Raises SettingsError for a file that cannot be read.
    """

    def __init__(
        self,
        arguments: Mapping[str, str],
        environment: Mapping[str, str],
        working_folder: Path,
        known: Collection[str],
    ) -> None:
        near = working_folder / ".env"
        strong = [("argument", arguments), ("environment", environment), (str(near), _dotenv(near))]
        self.folders = _folders(_first("ORGATE_STATE_DIR", strong))
        far, table = self.folders.config / ".env", self.folders.config / "config.toml"
        self._all = [*strong, (str(far), _dotenv(far)), (str(table), _config(table, known))]
        self.files = (near, far, table)
        state = self.find("ORGATE_STATE_DIR")
        if state is not None and _folders(state) != self.folders:
            raise SettingsError(
                f"ORGATE_STATE_DIR comes too late in {state.origin}: that file is in the folder it would name. "
                "Set it in the environment or in .env where orgate is started."
            )

    def find(self, name: str) -> Found | None:
        """The strongest text for this name; raises SettingsError when it and its `_FILE` twin stand side by side."""
        return _first(name, self._all)

    def deciding(self, name: str) -> tuple[Path, ...]:
        """The files whose change can change what is found: where it stands, what is asked before that, and its own."""
        asked: list[Path] = []
        for source, file in zip(self._all, (None, None, *self.files), strict=True):
            asked += [file] if file else []
            found = _first(name, [source])
            if found is not None:
                return (*asked, found.file) if found.file else tuple(asked)
        return tuple(asked)


def _first(name: str, sources: list[tuple[str, Mapping[str, str]]]) -> Found | None:
    for origin, values in sources:
        direct, twin = values.get(name, "").strip(), values.get(f"{name}_FILE", "").strip()
        if direct and twin:
            raise SettingsError(f"{name} and {name}_FILE are both set ({origin}). Remove one of them.")
        if direct:
            return Found(direct, origin)
        if twin:
            return _content(name, twin)
    return None


def _folders(state: Found | None) -> Folders:
    if state is not None:
        try:
            folder = Path(state.text).expanduser().absolute()
        except RuntimeError:
            raise SettingsError(f"ORGATE_STATE_DIR names the home of nobody: {redact(state.text)}.") from None
        return Folders(folder, folder)
    import platformdirs

    return Folders(Path(platformdirs.user_state_dir("orgate")), Path(platformdirs.user_config_dir("orgate")))


def _dotenv(path: Path) -> Mapping[str, str]:
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    try:
        return {name: value or "" for name, value in dotenv_values(path, interpolate=False).items()}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {type(error).__name__}.") from None


def _config(path: Path, known: Collection[str]) -> Mapping[str, str]:
    if not path.is_file():
        return {}
    try:
        table = tomllib.loads(path.read_text("utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {type(error).__name__}.") from None
    return {_known(name, path, known): _flat(value) for name, value in table.items()}


def _known(name: str, path: Path, known: Collection[str]) -> str:
    upper = name.upper()
    if upper.removesuffix("_FILE") in known:
        return upper
    near = difflib.get_close_matches(upper.removesuffix("_FILE"), known, 1)
    hint = f" Did you mean {near[0].lower()}?" if near else ""
    raise SettingsError(f"{path}: there is no setting {redact(name)!r}.{hint}")


def _flat(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    if isinstance(value, dict):
        return json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _content(name: str, twin: str) -> Found:
    try:
        path = Path(twin).expanduser()
        return Found(path.read_text("utf-8-sig").strip(), twin, path)
    except (OSError, RuntimeError, ValueError) as error:
        # Whoever puts the key itself here must not find it in a message.
        raise SettingsError(
            f"{name}_FILE names {redact(twin)}, which cannot be read: {type(error).__name__}."
        ) from None
