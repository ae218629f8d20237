"""Where the gateway is and what the tray was told: argument over environment over the gateway's files over default."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

from tray.errors import BadSetting
from tray.figures import descending


@dataclass(frozen=True)
class Option:
    """One setting: its name in the environment, its argument if it has one, what stands when nothing is given."""

    name: str
    argument: str
    default: str
    help: str


_URL = Option("ORGATE_URL", "--url", "", "The gateway's address; unset: what it left in the state folder.")
_TOKEN = Option("ORGATE_TOKEN", "", "", "The token for it; unset: what it left in the state folder.")
_STATE_DIR = Option("ORGATE_STATE_DIR", "--state-dir", "", "The gateway's state folder; unset: the system's.")
# OpenRouter's own figures are up to a minute old: asking more often tells little.
_POLL = Option("ORGATE_TRAY_POLL", "--poll", "60", "Seconds from one look at the gateway to the next, one at least.")
_LOW = Option("ORGATE_LOW_BALANCE", "", "5,1", "Dollars below which to warn, where the gateway does not tell its own.")

OPTIONS = (_URL, _TOKEN, _STATE_DIR, _POLL, _LOW)
"""All settings of the tray; each has a twin ending in `_FILE` that names a file to read the value from."""

_MOUNTS = ("/api/openrouter", "/api/v1", "/v1")


@dataclass(frozen=True)
class Settings:
    """What the tray was told."""

    state: Path
    """The gateway's state folder: where it says how to reach it, and where the tray keeps its own files."""
    url: str | None
    """The gateway's address; None to look it up in the state folder."""
    token: str | None
    """None to read the one that the gateway leaves in the state folder."""
    marks: tuple[Decimal, ...]
    """Dollars below which to warn, the largest first, where the gateway does not tell them."""
    poll_s: float
    state_given: bool
    """The state folder was named, so that a gateway to be started must be told of it."""


def load(arguments: Mapping[str, str | None], environment: Mapping[str, str]) -> Settings:
    """
    The settings; raises BadSetting, which names the one that cannot be used.

    Args:
        arguments: values given on the command line, by the names of the settings.
    """
    strong = {**environment, **{name: value for name, value in arguments.items() if value}}
    named = _value(strong, _STATE_DIR)
    state, config = _folders(named)
    url = _value(strong, _URL)
    return Settings(
        state=state,
        url=_root(url) if url else None,
        token=_value(strong, _TOKEN),
        marks=_marks(_value(strong, _LOW) or _beside_gateway(config)),
        poll_s=_seconds(_value(strong, _POLL) or _POLL.default),
        state_given=named is not None,
    )


def _value(values: Mapping[str, str], option: Option) -> str | None:
    if text := values.get(option.name, "").strip():
        return text
    twin = values.get(f"{option.name}_FILE", "").strip()
    if not twin:
        return None
    try:
        return Path(twin).expanduser().read_text("utf-8-sig").strip() or None
    except (OSError, RuntimeError, ValueError) as error:
        raise BadSetting(f"The file that {option.name}_FILE names cannot be read: {type(error).__name__}.") from None


def _folders(named: str | None) -> tuple[Path, Path]:
    if named is not None:
        try:
            folder = Path(named).expanduser().absolute()
        except RuntimeError:
            raise BadSetting("ORGATE_STATE_DIR names the home of nobody.") from None
        if folder.exists() and not folder.is_dir():
            raise BadSetting(f"ORGATE_STATE_DIR takes a folder, and {folder} is none.")
        return folder, folder
    import platformdirs

    return Path(platformdirs.user_state_dir("orgate")), Path(platformdirs.user_config_dir("orgate"))


def _beside_gateway(config: Path) -> str:
    """The marks as the gateway's own files have them; what is wrong with those files is the gateway's to say."""
    try:
        table = tomllib.loads((config / "config.toml").read_text("utf-8-sig"))
    except (OSError, ValueError):
        table = {}
    found = {name.upper(): value for name, value in table.items()}.get(_LOW.name, _LOW.default)
    text = ",".join(map(str, found)) if isinstance(found, list) else str(found)
    if (config / ".env").is_file():
        from dotenv import dotenv_values

        try:
            text = dotenv_values(config / ".env", interpolate=False).get(_LOW.name) or text
        except (OSError, UnicodeDecodeError):
            return text
    return text


def _marks(text: str) -> tuple[Decimal, ...]:
    marks = [mark.strip() for mark in text.split(",") if mark.strip()]
    if not all(re.fullmatch(r"\d{1,6}(\.\d{1,9})?", mark) for mark in marks):
        raise BadSetting("ORGATE_LOW_BALANCE takes dollars separated by commas, such as 5,1.")
    return descending(map(Decimal, marks))


def _seconds(text: str) -> float:
    if not re.fullmatch(r"\d{1,5}(\.\d{1,3})?", text) or float(text) < 1:
        raise BadSetting("ORGATE_TRAY_POLL takes seconds, one at least, such as 60.")
    return float(text)


def _root(url: str) -> str:
    """The gateway's own address, for those who give the one that a client library takes."""
    root = url if "://" in url else f"http://{url}"
    for mount in _MOUNTS:
        root = root.rstrip("/").removesuffix(mount)
    try:
        parts = urlsplit(root)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise BadSetting("ORGATE_URL takes an address such as http://127.0.0.1:6767.")
    return root
