"""
Every setting: its name, its default, how it is read, what it is for.

A value is looked for in this order: argument, environment, `.env`, `config.toml`, default. Each name has a twin that
ends in `_FILE` and names a file to read the value from. Whatever is malformed or contradicts itself stops the start.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from app.core.redact import redact
from app.settings import readers
from app.settings.sources import Folders, Found, SettingsError, Sources

__all__ = ["OPTIONS", "Folders", "NoKey", "Option", "Settings", "SettingsError", "find_key", "load", "unknown_names"]


class NoKey(SettingsError):
    """There is no OpenRouter key anywhere."""

    def __init__(self) -> None:
        super().__init__(
            f"There is no OpenRouter key. Get one at {readers.GET_A_KEY} and keep it with: orgate key set\n"
            "(or set OPENROUTER_API_KEY, in the environment or in .env). To try orgate without a key: orgate demo"
        )


@dataclass(frozen=True)
class Option:
    """One setting as text: what it is called, what stands when nothing is given, how it is read."""

    name: str
    default: str
    read: Callable[[str], Any]  # each reader returns its own type
    help: str
    secret: bool
    empty: Any  # what stands for "nothing given"; of the reader's type


def _option(
    name: str,
    default: str,
    read: Callable[[str], Any],
    help: str,
    *,
    secret: bool = False,
    empty: Any = None,
) -> Any:
    return field(repr=not secret, metadata={"option": Option(name, default, read, help, secret, empty)})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings in force."""

    folders: Folders
    found: Mapping[str, Found] = field(repr=False)

    api_key: str | None = _option(
        "OPENROUTER_API_KEY", "", readers.key, "The key. Best kept by `orgate key set`.", secret=True
    )
    site_url: str | None = _option(
        "OPENROUTER_SITE_URL", "", readers.site, "Attribution: `HTTP-Referer` where the app sent none."
    )
    site_name: str | None = _option(
        "OPENROUTER_SITE_NAME", "", readers.text, "Attribution: `X-Title` where the app sent none."
    )
    base_url: str = _option(
        "OPENROUTER_BASE_URL",
        f"https://{readers.OPENROUTER}/api/v1",
        readers.base_url,
        "https, or whatever speaks OpenRouter's protocol on loopback.",
    )
    cache_ttl_credits_ms: int = _option(
        "OPENROUTER_CACHE_TTL_CREDITS", "300000", readers.milliseconds, "How long the balance counts as fresh, in ms."
    )
    cache_ttl_models_ms: int = _option(
        "OPENROUTER_CACHE_TTL_MODELS", "3600000", readers.milliseconds, "How long the catalogue counts as fresh, in ms."
    )
    background_refresh_ms: int | None = _option(
        "OPENROUTER_BACKGROUND_REFRESH", "240000", readers.interval, "Fetch ahead of need every so many ms, or `false`."
    )
    models: tuple[str, ...] = _option(
        "OPENROUTER_MODELS", "", readers.names, "The models to list, by commas; `author/*` for an author's.", empty=()
    )
    extra_headers: Mapping[str, str] | None = _option(
        "OPENROUTER_EXTRA_HEADERS", "", readers.headers, "Headers to send with every call, a JSON object.", secret=True
    )
    management_key: str | None = _option(
        "OPENROUTER_MANAGEMENT_KEY",
        "",
        readers.key,
        "For the balance only, and only to openrouter.ai or loopback.",
        secret=True,
    )
    debug: tuple[str, ...] = _option(
        "DEBUG", "", readers.namespaces, "`openrouter:*`, or names such as `openrouter:relay`.", empty=()
    )
    log_level: str = _option(
        "LOG_LEVEL", "info", readers.one_of("debug", "info", "warning", "error"), "`debug`, `info`, `warning`, `error`."
    )
    host: str = _option(
        "ORGATE_HOST", "127.0.0.1", readers.host, "Where to listen (then on `::1` too); else needs `--allow-remote`."
    )
    port: int = _option("ORGATE_PORT", "6767", readers.port, "0 picks a free one.")
    allowed_hosts: tuple[str, ...] = _option(
        "ORGATE_ALLOWED_HOSTS", "", readers.hosts, "Names beside loopback that programs may use.", empty=()
    )
    allowed_origins: tuple[str, ...] = _option(
        "ORGATE_ALLOWED_ORIGINS", "", readers.origins, "Origins of desktop apps, such as `app://notes`.", empty=()
    )
    proxy: str | None = _option(
        "ORGATE_PROXY", "", readers.proxy, "Proxy to OpenRouter; the environment's are not used.", secret=True
    )
    ca_bundle: str | None = _option("ORGATE_CA_BUNDLE", "", readers.file, "Certificates to trust, a PEM file.")
    rate_chat: str = _option("ORGATE_RATE_CHAT", "30 per minute", readers.rate, "Quota per app.")
    rate_credits: str = _option("ORGATE_RATE_CREDITS", "100 per 10 seconds", readers.rate, "Quota per app.")
    rate_models: str = _option("ORGATE_RATE_MODELS", "100 per 10 seconds", readers.rate, "Quota per app.")
    timeout_connect_s: float = _option("ORGATE_TIMEOUT_CONNECT", "5", readers.seconds, "To reach OpenRouter, in s.")
    timeout_headers_s: float | None = _option(
        "ORGATE_TIMEOUT_HEADERS",
        "",
        readers.seconds,
        "Until headers come, in s; unset: 120 for streams, 600 for plain.",
    )
    timeout_first_content_s: float = _option(
        "ORGATE_TIMEOUT_FIRST_CONTENT", "60", readers.seconds, "Until a stream's first content, in s."
    )
    timeout_idle_s: float | None = _option(
        "ORGATE_TIMEOUT_IDLE",
        "",
        readers.seconds,
        "Silence inside an answer, in s; unset: 30 with a chain or delivered whole, else 180.",
    )
    timeout_total_s: float = _option("ORGATE_TIMEOUT_TOTAL", "3600", readers.seconds, "The whole call, in s.")
    state_dir: str | None = _option(
        "ORGATE_STATE_DIR", "", str, "One folder for all of orgate's own files; unset: the system's folders."
    )
    sanitize: str = _option(
        "ORGATE_SANITIZE", "check", readers.one_of("strict", "check", "off"), "`strict`, `check` or `off`."
    )
    max_message_chars: int = _option(
        "ORGATE_MAX_MESSAGE_CHARS", "10000", readers.characters, "Where `strict` cuts a message."
    )
    low_balance: tuple[int, ...] = _option(
        "ORGATE_LOW_BALANCE", "5,1", readers.dollars, "Dollars below which to warn.", empty=()
    )
    alert_command: tuple[str, ...] = _option(
        "ORGATE_ALERT_COMMAND",
        "",
        readers.command,
        "A program to run for every alert, with the alert as JSON on its input.",
        secret=True,
        empty=(),
    )
    max_streams: int = _option(
        "ORGATE_MAX_STREAMS", "256", readers.count, "Calls at once; one more gets 503 with `Retry-After`."
    )
    workers: int = _option(
        "ORGATE_WORKERS", "1", readers.processes, "Processes that answer; one for each core helps under heavy load."
    )
    cores: str = _option(
        "ORGATE_CORES",
        "one",
        readers.one_of("one", "any"),
        "`one`: a busy process stays on one core (Linux); `any`: it runs where the system likes.",
    )
    unknown_price_hold: int = _option(
        "ORGATE_UNKNOWN_PRICE_HOLD", "1", readers.amount, "Dollars to set aside for a call whose price is not known."
    )
    settle_after_s: float = _option(
        "ORGATE_SETTLE_AFTER",
        "60",
        readers.seconds,
        "Without a call for so many s, OpenRouter's totals count as complete.",
    )
    keep_days: int = _option(
        "ORGATE_KEEP_DAYS", "400", readers.days, "How long the ledger keeps each attempt; sums are kept for good."
    )
    sentry_dsn: str | None = _option(
        "ORGATE_SENTRY_DSN",
        "",
        readers.dsn,
        "Where failures are reported, a Sentry DSN; needs `pip install 'orgate[sentry]'`.",
        secret=True,
    )

    def origin(self, name: str) -> str:
        """Where the value came from: argument, environment, a file's path, or default."""
        return self.found[name].origin if name in self.found else "default"

    def shown(self, name: str) -> str:
        """The value as text that may be printed: secrets are not."""
        option = _BY_NAME[name]
        text = self.found[name].text if name in self.found else ""
        if not text:
            return option.default
        return "(not shown)" if option.secret else redact(text)


def _options_of(table: tuple[Field[Any], ...]) -> dict[str, Option]:
    return {column.name: column.metadata["option"] for column in table if "option" in column.metadata}


_BY_FIELD = _options_of(fields(Settings))
OPTIONS = tuple(_BY_FIELD.values())
_BY_NAME = {option.name: option for option in OPTIONS}

_OF_COMMANDS = frozenset({"ORGATE_TOKEN", "ORGATE_URL", "ORGATE_TRAY_POLL"})
"""What only the commands that ask a gateway read, and the tray."""


def load(
    arguments: Mapping[str, str] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    working_folder: Path | None = None,
) -> Settings:
    """The settings from all sources; raises SettingsError naming the first that cannot be used."""
    environment = os.environ if environment is None else environment
    sources = Sources(arguments or {}, environment, working_folder or Path.cwd(), _BY_NAME)
    found = {name: hit for name in _BY_NAME if (hit := sources.find(name)) is not None}
    values = {name: _value(option, found.get(option.name)) for name, option in _BY_FIELD.items()}
    settings = Settings(folders=sources.folders, found=found, **values)
    _refuse_contradictions(settings)
    return settings


class NamedKey(NamedTuple):
    """The key that the settings name right now, None where they name none."""

    key: str | None
    deciding: tuple[Path, ...]
    """The files whose change can change it."""
    read: tuple[Path, ...]
    """All that are read for it: any of them can be broken."""


def find_key(environment: Mapping[str, str], working_folder: Path) -> NamedKey:
    """Look the key up in the settings; raises SettingsError."""
    sources = Sources({}, environment, working_folder, _BY_NAME)
    name = "OPENROUTER_API_KEY"
    deciding = sources.deciding(name)
    return NamedKey(_value(_BY_NAME[name], sources.find(name)), deciding, (*sources.files, *deciding))


def unknown_names(environment: Mapping[str, str]) -> dict[str, str]:
    """Environment names that look like ours and are not, each with the setting that may be meant ("" if none)."""
    known = {*_BY_NAME, *_OF_COMMANDS}
    ours = sorted(name for name in environment if name.startswith("ORGATE_"))
    strange = {name: bare for name in ours if (bare := name.removesuffix("_FILE")) not in known}
    return {name: next(iter(difflib.get_close_matches(bare, _BY_NAME, 1)), "") for name, bare in strange.items()}


def _value(option: Option, found: Found | None) -> Any:  # of the reader's type
    text = (found.text if found else "") or option.default
    if not text:
        return option.empty
    try:
        return option.read(text)
    except ValueError as error:
        # A base URL or a proxy with a password in it is refused, and must not be repeated either.
        shown = "" if option.secret or "@" in text else f" = {redact(text)[:80]!r}"
        origin = found.origin if found else "default"
        raise SettingsError(f"{option.name}{shown} {error}. (from: {origin})") from None


def _refuse_contradictions(settings: Settings) -> None:
    host = urlsplit(settings.base_url).hostname or ""
    if settings.management_key and host not in (readers.OPENROUTER, *readers.LOOPBACK):
        raise SettingsError(
            "OPENROUTER_MANAGEMENT_KEY is set while OPENROUTER_BASE_URL is neither openrouter.ai nor loopback. "
            "A management key is never sent anywhere else: remove one of the two."
        )
    if settings.timeout_headers_s and settings.timeout_headers_s > settings.timeout_total_s:
        raise SettingsError(
            "ORGATE_TIMEOUT_HEADERS is longer than ORGATE_TIMEOUT_TOTAL. Lower the one or raise the other."
        )
