from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import limits
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.settings import OPTIONS, Folders, NoKey, Settings, SettingsError, find_key, load, readers, unknown_names

KEY = "sk-or-v1-" + "0123456789abcdef" * 4
OTHER_KEY = "sk-or-v1-" + "f" * 64
CANARY = "canary"
"""Stands in bad values of secret settings; no message may repeat it."""


@dataclass(frozen=True)
class Case:
    """What one setting takes and what it does not."""

    field: str
    default: Any
    good: str
    value: Any
    bad: tuple[str, ...]


CASES = {
    "OPENROUTER_API_KEY": Case(
        "api_key", None, KEY, KEY, (f"sk-{CANARY}", f'"sk-or-{CANARY}"', f"sk-or-v1 {CANARY}", f"sk-or-{CANARY}é")
    ),
    "OPENROUTER_SITE_URL": Case(
        "site_url",
        None,
        "https://example.org/notes",
        "https://example.org/notes",
        ("example.org", "ftp://example.org", "https://", "https://exämple.org", "https://[::1"),
    ),
    "OPENROUTER_SITE_NAME": Case("site_name", None, "My App (test)", "My App (test)", ("Café", "a\tb", "a\x7fb")),
    "OPENROUTER_BASE_URL": Case(
        "base_url",
        "https://openrouter.ai/api/v1",
        "https://eu.openrouter.ai/api/v1/",
        "https://eu.openrouter.ai/api/v1",
        (
            "openrouter.ai/api/v1",
            "http://openrouter.ai/api/v1",
            "http://127.0.0.1.example.org/",
            "ftp://localhost",
            "https://",
            "https://openrouter.ai/api/v1?",
            "https://openrouter.ai/api/v1#x",
            "https://openrouter.ai:99999",
            "https://openrouter.ai:port",
            "https://openrouter .ai",
            "https://[::1",
            f"https://me:{CANARY}@openrouter.ai",
            f"https://me:{CANARY}\u2100@openrouter.ai",
        ),
    ),
    "OPENROUTER_CACHE_TTL_CREDITS": Case(
        "cache_ttl_credits_ms", 300_000, "60000", 60_000, ("5m", "0", "-1", "1.5", "99999999999", "9" * 5000)
    ),
    "OPENROUTER_CACHE_TTL_MODELS": Case(
        "cache_ttl_models_ms", 3_600_000, "7200000", 7_200_000, ("1h", "0", "-1", "1e3", "300000 # comment")
    ),
    "OPENROUTER_BACKGROUND_REFRESH": Case(
        "background_refresh_ms", 240_000, "False", None, ("true", "999", "-1", "4m", "9" * 5000)
    ),
    "OPENROUTER_MODELS": Case("models", (), "openai/*, a/b:free,,openai/*", ("openai/*", "a/b:free"), ()),
    "OPENROUTER_EXTRA_HEADERS": Case(
        "extra_headers",
        None,
        '{"X-Custom-Header": "custom-value"}',
        {"X-Custom-Header": "custom-value"},
        (
            f"X-Custom: {CANARY}",
            f'["{CANARY}"]',
            '{"X-A": 1}',
            f'{{"Authorization": "{CANARY}"}}',
            f'{{"content-LENGTH": "{CANARY}"}}',
            f'{{"X A": "{CANARY}"}}',
            f'{{"": "{CANARY}"}}',
            '{"X-A": ""}',
            f'{{"X-A": "{CANARY}\\r\\nX-B: 1"}}',
            f'{{"X-A": "{CANARY}é"}}',
            "[" * 100_000,
        ),
    ),
    "OPENROUTER_MANAGEMENT_KEY": Case(
        "management_key", None, OTHER_KEY, OTHER_KEY, (f"sk-{CANARY}", f"'sk-or-{CANARY}'")
    ),
    "DEBUG": Case("debug", (), "express:*, openrouter:relay openrouter:*", ("openrouter:relay", "openrouter:*"), ()),
    "LOG_LEVEL": Case("log_level", "info", "WARNING", "warning", ("loud", "info,debug", "30")),
    "ORGATE_HOST": Case(
        "host",
        "127.0.0.1",
        "[::1]",
        "::1",
        ("127.0.0.1:6767", "http://localhost", "local host", "[::1]:80", "::x", "[a"),
    ),
    "ORGATE_PORT": Case("port", 6767, "0", 0, ("65536", "-1", "http", "67.67", "9" * 5000)),
    "ORGATE_ALLOWED_HOSTS": Case(
        "allowed_hosts",
        (),
        "Gate.example.org., box:8080,[fd00::1]:80",
        ("gate.example.org", "box:8080", "[fd00::1]:80"),
        ("http://box", "box/path", "*", "a b", "box:port"),
    ),
    "ORGATE_ALLOWED_ORIGINS": Case(
        "allowed_origins",
        (),
        "app://notes, http://localhost:3000",
        ("app://notes", "http://localhost:3000"),
        ("*", "localhost:3000", "null", "https://*.example.org", "http://localhost/path", "http://"),
    ),
    "ORGATE_PROXY": Case(
        "proxy",
        None,
        "http://me:secret@proxy.example.org:3128",
        "http://me:secret@proxy.example.org:3128",
        (
            f"me:{CANARY}@proxy:3128",
            f"socks5://me:{CANARY}@proxy",
            "http://",
            f"http://me:{CANARY}\u2100@proxy",
            f"http://proxy:{CANARY}",
            f"http://me:{CANARY}@[proxy",
        ),
    ),
    "ORGATE_CA_BUNDLE": Case(
        "ca_bundle", None, __file__, __file__, ("/no/such/file.pem", "/", "~nobody-of-that-name/x")
    ),
    "ORGATE_RATE_CHAT": Case(
        "rate_chat", "30 per minute", "60  per\tminute", "60 per minute", ("many", "0 per minute")
    ),
    "ORGATE_RATE_CREDITS": Case(
        "rate_credits", "100 per 10 seconds", "5/second", "5/second", ("30", "30 per fortnight", "-1 per minute")
    ),
    "ORGATE_RATE_MODELS": Case(
        "rate_models", "100 per 10 seconds", "1 per 2 Hours", "1 per 2 Hours", ("per minute", "1 per 0 minutes", "1;2")
    ),
    "ORGATE_TIMEOUT_CONNECT": Case("timeout_connect_s", 5.0, "0.5", 0.5, ("0", "-1", "5s", "1e3", "1000000", "NaN")),
    "ORGATE_TIMEOUT_HEADERS": Case("timeout_headers_s", None, "60", 60.0, ("0", "1m", "0.0001")),
    "ORGATE_TIMEOUT_FIRST_CONTENT": Case("timeout_first_content_s", 60.0, "90", 90.0, ("0", "1m", "-5")),
    "ORGATE_TIMEOUT_IDLE": Case("timeout_idle_s", None, "30", 30.0, ("0.0", "inf")),
    "ORGATE_TIMEOUT_TOTAL": Case("timeout_total_s", 3600.0, "7200", 7200.0, ("0", "1h")),
    "ORGATE_STATE_DIR": Case("state_dir", None, "/tmp/orgate", "/tmp/orgate", ("~nobody-of-that-name/x",)),
    "ORGATE_SANITIZE": Case("sanitize", "check", "Strict", "strict", ("true", "on")),
    "ORGATE_MAX_MESSAGE_CHARS": Case("max_message_chars", 10_000, "1", 1, ("0", "-1", "10k", "9" * 5000)),
    "ORGATE_LOW_BALANCE": Case(
        "low_balance",
        (5_000_000_000, 1_000_000_000),
        "0.25, 10,10",
        (10_000_000_000, 250_000_000),
        ("$5", "5;1", "-1", "1e3", ",", "0.0000000001"),
    ),
    "ORGATE_ALERT_COMMAND": Case(
        "alert_command",
        (),
        "sh -c 'echo \"$1\"'",
        (shutil.which("sh"), "-c", 'echo "$1"'),
        (f"/no/{CANARY}/here", f"{CANARY} 'x", f"sh '{CANARY}", "~nobody-of-that-name/x"),
    ),
    "ORGATE_MAX_STREAMS": Case("max_streams", 256, "1", 1, ("0", "10001", "many")),
    "ORGATE_WORKERS": Case("workers", 1, "2", 2, ("0", "65", "both", "-1")),
    "ORGATE_CORES": Case("cores", "one", "any", "any", ("two", "1", "all")),
    "ORGATE_UNKNOWN_PRICE_HOLD": Case(
        "unknown_price_hold", 10**9, "0.25", 250_000_000, ("-1", "1,2", "much", "0", "0.0")
    ),
    "ORGATE_SETTLE_AFTER": Case("settle_after_s", 60.0, "5", 5.0, ("0", "1m")),
    "ORGATE_KEEP_DAYS": Case("keep_days", 400, "7", 7, ("6", "10951", "a week")),
    "ORGATE_SENTRY_DSN": Case(
        "sentry_dsn",
        None,
        "HTTPS://0123abcd@errors.example.org:8443/sentry/42",
        "HTTPS://0123abcd@errors.example.org:8443/sentry/42",
        (
            f"{CANARY}",
            f"ftp://{CANARY}@example.org/42",
            "https://example.org/42",
            f"https://{CANARY}@example.org",
            f"https://{CANARY}@example.org/project",
            f"https://{CANARY}@example.org/42/",
            f"https://{CANARY}@example.org/42?x=1",
            f"https://{CANARY}@example.org/\u0664\u0662",
            f"https://{CANARY}@[example/42",
        ),
    ),
}
BAD = [pytest.param(name, text, id=f"{name}-{at}") for name, case in CASES.items() for at, text in enumerate(case.bad)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where orgate is started."""
    folder = tmp_path / "working"
    folder.mkdir()
    return folder


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The folder that ORGATE_STATE_DIR names."""
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


def given_to(folder: Path, environment: Mapping[str, str]) -> Settings:
    """The settings that this environment gives."""
    return load(environment=environment, working_folder=folder)


def test_all_settings_are_known() -> None:
    """Every setting has its case here, and the table of options is in its order."""
    assert [option.name for option in OPTIONS] == list(CASES)


@pytest.mark.parametrize("name", CASES)
def test_default(name: str, folder: Path) -> None:
    """With nothing given a setting is what the design says."""
    settings = given_to(folder, {})

    assert CASES[name].default == getattr(settings, CASES[name].field)
    assert "default" == settings.origin(name)


@pytest.mark.parametrize("name", CASES)
def test_good_value(name: str, folder: Path) -> None:
    """A good value is taken, with the white space around it left out."""
    case = CASES[name]
    settings = given_to(folder, {name: f" {case.good}\n"})

    assert case.value == getattr(settings, case.field)
    assert "environment" == settings.origin(name)


@pytest.mark.parametrize("text", ["", " ", "\t\n"], ids=repr)
@pytest.mark.parametrize("name", CASES)
def test_empty_value(name: str, text: str, folder: Path) -> None:
    """An empty value is none at all."""
    settings = given_to(folder, {name: text, f"{name}_FILE": text})

    assert CASES[name].default == getattr(settings, CASES[name].field)
    assert "default" == settings.origin(name)


@pytest.mark.parametrize("name", CASES)
def test_empty_file(name: str, folder: Path) -> None:
    """A file with nothing in it leaves the default."""
    (folder / "empty").write_text("\n")
    settings = given_to(folder, {f"{name}_FILE": str(folder / "empty")} if name != "ORGATE_STATE_DIR" else {})

    assert CASES[name].default == getattr(settings, CASES[name].field)
    assert OPTIONS[list(CASES).index(name)].default == settings.shown(name)


@pytest.mark.parametrize(("name", "text"), BAD)
def test_bad_value(name: str, text: str, folder: Path) -> None:
    """A malformed value stops the start with the setting's name, where it stood, and no secret."""
    with pytest.raises(SettingsError) as refused:
        given_to(folder, {name: text})
    message = str(refused.value)

    assert message.startswith(name)
    assert CANARY not in message
    assert name == "ORGATE_STATE_DIR" or message.endswith("(from: environment)")
    assert len(message) < 400
    assert "set_int_max_str_digits" not in message


@pytest.mark.parametrize("text", ["much", "1,2", "0"])
def test_one_amount(text: str, folder: Path) -> None:
    """Where one amount is wanted the error does not ask for several; nothing set aside would be no hold at all."""
    with pytest.raises(SettingsError, match="takes one amount in dollars, more than 0"):
        load({}, environment={"ORGATE_UNKNOWN_PRICE_HOLD": text}, working_folder=folder)


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name].bad])
def test_key_in_the_wrong_place(name: str, folder: Path) -> None:
    """Whoever puts the key into another setting does not find it in the message, nor in what is printed."""
    try:
        printed = given_to(folder, {name: f"?{KEY}"}).shown(name)
    except SettingsError as error:
        printed = str(error)

    assert printed
    assert KEY[9:] not in printed


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("OPENROUTER_BACKGROUND_REFRESH", "off", None),
        ("OPENROUTER_BACKGROUND_REFRESH", "0", None),
        ("OPENROUTER_BACKGROUND_REFRESH", "1000", 1000),
        ("OPENROUTER_BASE_URL", "http://127.0.0.1:9", "http://127.0.0.1:9"),
        ("OPENROUTER_BASE_URL", "http://[::1]:9/x/", "http://[::1]:9/x"),
        ("OPENROUTER_BASE_URL", "http://LOCALHOST:9", "http://LOCALHOST:9"),
        ("ORGATE_HOST", "::", "::"),
        ("ORGATE_HOST", "box.example.org", "box.example.org"),
        ("ORGATE_PORT", "65535", 65535),
        ("DEBUG", "true", ()),
        ("DEBUG", "*", ()),
        ("ORGATE_LOW_BALANCE", "0.000000001", (1,)),
        ("OPENROUTER_EXTRA_HEADERS", "{}", {}),
    ],
)
def test_other_good_values(name: str, text: str, value: object, folder: Path) -> None:
    """Settings take these forms as well."""
    assert value == getattr(given_to(folder, {name: text}), CASES[name].field)


@given(st.from_regex(readers._RATE, fullmatch=True))
@settings(deadline=None, max_examples=40)
def test_rates(text: str) -> None:
    """Every quota that is taken is one that Flask-Limiter understands."""
    rate = limits.parse(readers.rate(text))

    assert rate.amount >= 1
    assert rate.get_expiry() >= 1


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"  {KEY}  ", id="spaces"),
        pytest.param(f"{KEY}\n", id="newline"),
        pytest.param(f"{KEY}\r\n", id="CRLF"),
        pytest.param(f"\ufeff{KEY}", id="byte order mark"),
        pytest.param(f" \ufeff {KEY}\n", id="all of it"),
    ],
)
@pytest.mark.parametrize("place", ["value", "file"])
def test_key_with_space_around(text: str, place: str, folder: Path) -> None:
    """A key that was copied with white space or a mark around it is taken without."""
    (folder / "key").write_text(text, "utf-8", newline="")
    environment = {"value": {"OPENROUTER_API_KEY": text}, "file": {"OPENROUTER_API_KEY_FILE": str(folder / "key")}}

    assert KEY == given_to(folder, environment[place]).api_key


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(f'"{KEY}"', "quotes", id="quotes"),
        pytest.param(f"'{KEY}'", "quotes", id="single quotes"),
        pytest.param(f"“{KEY}”", "does not start with sk-or-", id="typographic quotes"),
        pytest.param(KEY[:30] + " " + KEY[30:], "odd character", id="space inside"),
        pytest.param(KEY[:30] + "\n" + KEY[30:], "odd character", id="newline inside"),
        pytest.param(KEY + '"', "odd character", id="quote at the end"),
        pytest.param(KEY + "é", "odd character", id="not ASCII"),
        pytest.param(KEY + "\x00", "odd character", id="NUL"),
        pytest.param("sk-or-" + "x" * 501, "odd character", id="endless"),
        pytest.param("sk-or-", "odd character", id="only its start"),
        pytest.param(f"Bearer {KEY}", "does not start with sk-or-", id="Bearer before it"),
        pytest.param(KEY.replace("sk-or", "sk-ant"), "does not start with sk-or-", id="another company's"),
        pytest.param(KEY.upper(), "does not start with sk-or-", id="capitals"),
    ],
)
@pytest.mark.parametrize("name", ["OPENROUTER_API_KEY", "OPENROUTER_MANAGEMENT_KEY"])
def test_odd_key(name: str, text: str, reason: str, folder: Path) -> None:
    """A key that could not be sent is refused with the reason, and is not repeated."""
    with pytest.raises(SettingsError, match=reason) as refused:
        given_to(folder, {name: text})

    assert name in str(refused.value)
    assert KEY[9:20] not in str(refused.value)
    assert "xxx" not in str(refused.value)


def test_precedence(folder: Path, state: Path) -> None:
    """Argument before environment, before .env here, before .env in the configuration folder, before config.toml."""
    near, far, table = folder / ".env", state / ".env", state / "config.toml"
    near.write_text("ORGATE_PORT=3")
    far.write_text("ORGATE_PORT=4")
    table.write_text("orgate_port = 5")
    arguments = {"ORGATE_STATE_DIR": str(state)}

    def seen(port: str, environment: dict[str, str]) -> tuple[int, str]:
        found = load({**arguments, "ORGATE_PORT": port}, environment=environment, working_folder=folder)
        return found.port, found.origin("ORGATE_PORT")

    ladder = [seen("1", {"ORGATE_PORT": "2"}), seen("", {"ORGATE_PORT": "2"}), seen("", {})]
    for path in (near, far, table):
        path.unlink()
        ladder.append(seen("", {}))

    assert [
        (1, "argument"),
        (2, "environment"),
        (3, str(near)),
        (4, str(far)),
        (5, str(table)),
        (6767, "default"),
    ] == ladder


def test_precedence_of_files(folder: Path) -> None:
    """A value in a stronger place wins over a _FILE twin in a weaker one, and the other way round."""
    (folder / "port").write_text("7\n")
    (folder / ".env").write_text(f"ORGATE_PORT_FILE={folder / 'port'}\nORGATE_MAX_STREAMS=8\n")
    (folder / "streams").write_text("9")
    settings = given_to(folder, {"ORGATE_PORT": "1", "ORGATE_MAX_STREAMS_FILE": str(folder / "streams")})

    assert (1, 9) == (settings.port, settings.max_streams)
    assert str(folder / "streams") == settings.origin("ORGATE_MAX_STREAMS")


def test_environment_of_the_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without being told otherwise the process's own environment and folder count."""
    (tmp_path / ".env").write_text("ORGATE_MAX_STREAMS=8")
    monkeypatch.setenv("ORGATE_PORT", "7")
    monkeypatch.chdir(tmp_path)
    settings = load()

    assert (7, 8) == (settings.port, settings.max_streams)


@pytest.mark.parametrize("name", CASES)
def test_value_from_a_file(name: str, folder: Path) -> None:
    """Every setting can be read from a file, with or without a byte order mark."""
    path = folder / "value"
    path.write_text(f"\ufeff{CASES[name].good}\n", "utf-8")
    settings = given_to(folder, {f"{name}_FILE": str(path)})

    assert CASES[name].value == getattr(settings, CASES[name].field)
    assert str(path) == settings.origin(name)


@pytest.mark.parametrize("name", CASES)
def test_value_beside_its_file(name: str, folder: Path) -> None:
    """A value and a file for it in one place contradict each other."""
    good = CASES[name].good
    with pytest.raises(SettingsError, match=rf"{name} and {name}_FILE are both set \(environment\)") as refused:
        given_to(folder, {name: good, f"{name}_FILE": "/x"})

    assert good not in str(refused.value)


@pytest.mark.parametrize(
    ("twin", "shown"),
    [
        pytest.param("/no/such/file", "/no/such/file", id="missing"),
        pytest.param("/", "/", id="folder"),
        pytest.param("~nobody-of-that-name/key", "~nobody-of-that-name/key", id="home of nobody"),
        pytest.param("a\0b", "a\0b", id="NUL"),
        pytest.param(KEY, "[key]", id="the key itself"),
    ],
)
def test_unreadable_file(twin: str, shown: str, folder: Path) -> None:
    """A file that cannot be read stops the start with its name and the setting's."""
    with pytest.raises(SettingsError) as refused:
        given_to(folder, {"OPENROUTER_API_KEY_FILE": twin})

    assert str(refused.value).startswith(f"OPENROUTER_API_KEY_FILE names {shown}, which cannot be read")
    assert KEY not in str(refused.value)


def test_file_in_utf_16(folder: Path) -> None:
    """A file as PowerShell writes it is refused, not misread."""
    (folder / "key").write_text(KEY, "utf-16")

    with pytest.raises(SettingsError, match=r"OPENROUTER_API_KEY_FILE names .* cannot be read: UnicodeDecodeError"):
        given_to(folder, {"OPENROUTER_API_KEY_FILE": str(folder / "key")})


def test_file_in_the_home(folder: Path) -> None:
    """A path may start with the home folder."""
    Path("~/key").expanduser().write_text(KEY)

    assert KEY == given_to(folder, {"OPENROUTER_API_KEY_FILE": "~/key"}).api_key


def test_dotenv_of_the_document(folder: Path) -> None:
    """The document's own .env works as printed, comments and all."""
    (folder / ".env").write_text(
        "# Required: OpenRouter API Key\n"
        f"OPENROUTER_API_KEY={KEY}\n"
        "\n"
        "# Optional: Site Attribution (recommended for better rate limits)\n"
        "OPENROUTER_SITE_URL=https://your-domain.com\n"
        "OPENROUTER_SITE_NAME=YourApplicationName\n"
        "\n"
        "# Optional: Cache Configuration (milliseconds)\n"
        "OPENROUTER_CACHE_TTL_CREDITS=300001  # 5 minutes (default)\n"
        "OPENROUTER_CACHE_TTL_MODELS=3600001   # 1 hour (default)\n"
    )
    settings = given_to(folder, {})

    assert (KEY, "https://your-domain.com", "YourApplicationName", 300_001, 3_600_001) == (
        settings.api_key,
        settings.site_url,
        settings.site_name,
        settings.cache_ttl_credits_ms,
        settings.cache_ttl_models_ms,
    )


def test_dotenv_forms(folder: Path) -> None:
    """A .env may quote, export, and start with a byte order mark; other programs' names and $ are left alone."""
    (folder / ".env").write_text(
        "\ufeffORGATE_PORT=1\r\n"
        'OPENROUTER_SITE_NAME="My ${HOME} # app"\r\n'
        "export ORGATE_MAX_STREAMS='2'\r\n"
        "EMPTY\r\nORGATE_HOST=\r\nPATH=/x\r\n",
        "utf-8",
    )
    settings = given_to(folder, {})

    assert (1, "My ${HOME} # app", 2, "127.0.0.1") == (
        settings.port,
        settings.site_name,
        settings.max_streams,
        settings.host,
    )


def test_dotenv_leaves_the_environment_alone(folder: Path) -> None:
    """What stands in .env does not get into the environment of programs that orgate starts."""
    (folder / ".env").write_text(f"OPENROUTER_API_KEY={KEY}\n")
    given_to(folder, {})

    assert KEY not in os.environ.values()


@pytest.mark.parametrize("name", [".env", "config.toml"])
def test_file_that_is_no_text(name: str, state: Path, folder: Path) -> None:
    """A settings file that is no UTF-8 stops the start with its path."""
    (state / name).write_bytes(b"\xff\xfe\x00")

    with pytest.raises(SettingsError, match="cannot be read: UnicodeDecodeError") as refused:
        given_to(folder, {"ORGATE_STATE_DIR": str(state)})

    assert str(state / name) in str(refused.value)


def test_config_forms(state: Path, folder: Path) -> None:
    """In config.toml names may be in either case, and values have TOML's own types."""
    (state / "config.toml").write_text(
        "\ufeffORGATE_PORT = 1\n"
        "openrouter_background_refresh = false\n"
        'openrouter_models = ["openai/*", "a/b"]\n'
        "orgate_low_balance = [2.5, 1]\n"
        "orgate_timeout_connect = 1.5\n"
        'openrouter_extra_headers = { X-A = "b" }\n'
        f'openrouter_api_key_file = "{state / "key"}"\n',
        "utf-8",
    )
    (state / "key").write_text(KEY)
    settings = given_to(folder, {"ORGATE_STATE_DIR": str(state)})

    assert (1, None, ("openai/*", "a/b"), (2_500_000_000, 1_000_000_000), 1.5, {"X-A": "b"}, KEY) == (
        settings.port,
        settings.background_refresh_ms,
        settings.models,
        settings.low_balance,
        settings.timeout_connect_s,
        settings.extra_headers,
        settings.api_key,
    )


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param("orgate_prot = 1", "there is no setting 'orgate_prot'. Did you mean orgate_port?", id="near"),
        pytest.param("ORGATE_PROT_FILE = 'x'", "no setting 'ORGATE_PROT_FILE'. Did you mean orgate_port?", id="file"),
        pytest.param("zzz = 1", "there is no setting 'zzz'.", id="far"),
        pytest.param("[orgate]\nport = 1", "there is no setting 'orgate'.", id="table"),
        pytest.param(f"{KEY} = 1", "there is no setting '[key]'.", id="the key as a name"),
        pytest.param(f'openrouter_api_key = "{KEY}', "is not valid TOML", id="open quote"),
        pytest.param(f"openrouter_api_key = {KEY}", "is not valid TOML", id="no quotes"),
        pytest.param("orgate_port = 'x'", "ORGATE_PORT = 'x' takes a port number", id="bad value"),
    ],
)
def test_bad_config(line: str, reason: str, state: Path, folder: Path) -> None:
    """A mistake in config.toml stops the start with the path, what is wrong, and no secret."""
    (state / "config.toml").write_text(line)

    with pytest.raises(SettingsError) as refused:
        given_to(folder, {"ORGATE_STATE_DIR": str(state)})

    assert reason in str(refused.value)
    assert str(state / "config.toml") in str(refused.value)
    assert KEY[9:20] not in str(refused.value)


def test_folders_of_the_system(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Unless told otherwise orgate's files are in the system's folders for them."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "s"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "c"))
    (tmp_path / "c" / "orgate").mkdir(parents=True)
    (tmp_path / "c" / "orgate" / "config.toml").write_text("orgate_port = 5")
    settings = given_to(folder, {})

    assert Folders(tmp_path / "s" / "orgate", tmp_path / "c" / "orgate") == settings.folders
    assert 5 == settings.port


@pytest.mark.parametrize("place", ["argument", "environment", ".env"])
def test_folder_given(place: str, folder: Path, state: Path) -> None:
    """One folder for everything may be named by argument, environment or .env."""
    named = {"ORGATE_STATE_DIR": f" {state} "}
    if place == ".env":
        (folder / ".env").write_text(f"ORGATE_STATE_DIR={state}")
    settings = load(
        named if place == "argument" else {},
        environment=named if place == "environment" else {},
        working_folder=folder,
    )

    assert Folders(state, state) == settings.folders
    assert str(state) == settings.state_dir


@pytest.mark.parametrize("given", ["~/gate", "gate"])
def test_folder_in_short(given: str, folder: Path) -> None:
    """The folder may be named from the home or from where orgate is started."""
    assert Path.home() / "gate" == given_to(folder, {"ORGATE_STATE_DIR": given}).folders.state


@pytest.mark.parametrize(
    ("name", "line"),
    [
        pytest.param("config.toml", "orgate_state_dir = '/elsewhere'", id="config.toml"),
        pytest.param(".env", "ORGATE_STATE_DIR=/elsewhere", id=".env"),
    ],
)
def test_folder_named_too_late(name: str, line: str, folder: Path) -> None:
    """A file inside the configuration folder cannot say where that folder is."""
    home = Path.home() / "orgate"
    home.mkdir()
    (home / name).write_text(line)

    with pytest.raises(SettingsError, match="ORGATE_STATE_DIR comes too late") as refused:
        given_to(folder, {})

    assert str(home / name) in str(refused.value)
    assert given_to(folder, {"ORGATE_STATE_DIR": str(folder)}).folders.state == folder


@pytest.mark.parametrize(
    ("base_url", "allowed"),
    [
        pytest.param("https://openrouter.ai/api/v1", True, id="OpenRouter"),
        pytest.param("https://OpenRouter.ai:443/api/v1", True, id="OpenRouter, written otherwise"),
        pytest.param("http://127.0.0.1:9/api/v1", True, id="loopback"),
        pytest.param("http://[::1]:9/api/v1", True, id="loopback, IPv6"),
        pytest.param("https://localhost", True, id="localhost"),
        pytest.param("https://openrouter.ai.example.org/api/v1", False, id="looks like it"),
        pytest.param("https://eu.openrouter.ai/api/v1", False, id="another of its hosts"),
        pytest.param("https://example.org/openrouter.ai", False, id="elsewhere"),
    ],
)
def test_management_key(base_url: str, allowed: bool, folder: Path) -> None:
    """A management key beside an address that must never see it stops the start."""
    environment = {"OPENROUTER_MANAGEMENT_KEY": OTHER_KEY, "OPENROUTER_BASE_URL": base_url}
    if allowed:
        assert OTHER_KEY == given_to(folder, environment).management_key
        return

    with pytest.raises(SettingsError, match=r"OPENROUTER_MANAGEMENT_KEY.*OPENROUTER_BASE_URL") as refused:
        given_to(folder, environment)
    assert OTHER_KEY not in str(refused.value)


@pytest.mark.parametrize(("headers_s", "fits"), [("3600", True), ("3601", False), ("", True)])
def test_timeouts_that_contradict(headers_s: str, fits: bool, folder: Path) -> None:
    """A part of a call cannot be allowed longer than the whole."""
    environment = {"ORGATE_TIMEOUT_HEADERS": headers_s}
    if fits:
        assert given_to(folder, environment)
        return

    with pytest.raises(SettingsError, match=r"ORGATE_TIMEOUT_HEADERS.*ORGATE_TIMEOUT_TOTAL"):
        given_to(folder, environment)


def test_no_secret_in_repr(folder: Path) -> None:
    """Settings that get into a log by mistake bring no secret along."""
    (folder / "key").write_text(KEY)
    settings = given_to(
        folder,
        {
            "OPENROUTER_API_KEY_FILE": str(folder / "key"),
            "OPENROUTER_MANAGEMENT_KEY": OTHER_KEY,
            "OPENROUTER_EXTRA_HEADERS": f'{{"X-Secret": "{CANARY}"}}',
            "ORGATE_PROXY": f"http://me:{CANARY}@proxy",
        },
    )
    told = f"{settings!r} {settings} {[settings.shown(name) for name in CASES]}"

    assert "port=6767" in told
    assert KEY[9:] not in told
    assert OTHER_KEY[9:] not in told
    assert CANARY not in told


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_shown(option: Any, folder: Path) -> None:
    """Each value can be printed, and a secret is only said to be there."""
    good = CASES[option.name].good
    settings = given_to(folder, {option.name: good})

    assert option.default == given_to(folder, {}).shown(option.name)
    assert ("(not shown)" if option.secret else good) == settings.shown(option.name)


def test_secrets() -> None:
    """The settings that may hold a secret are marked as such, and no field of theirs is in the settings' repr."""
    hidden = {column.metadata["option"].name for column in fields(Settings) if column.metadata and not column.repr}

    assert {
        "OPENROUTER_API_KEY",
        "OPENROUTER_MANAGEMENT_KEY",
        "OPENROUTER_EXTRA_HEADERS",
        "ORGATE_PROXY",
        "ORGATE_ALERT_COMMAND",
        "ORGATE_SENTRY_DSN",
    } == hidden
    assert hidden == {option.name for option in OPTIONS if option.secret}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        pytest.param("ORGATE_PROT", {"ORGATE_PROT": "ORGATE_PORT"}, id="swapped"),
        pytest.param("ORGATE_MAX_STREAM", {"ORGATE_MAX_STREAM": "ORGATE_MAX_STREAMS"}, id="letter missing"),
        pytest.param("ORGATE_PROT_FILE", {"ORGATE_PROT_FILE": "ORGATE_PORT"}, id="file"),
        pytest.param("ORGATE_ZZZZZZZZZZZZZZZZZZZZ", {"ORGATE_ZZZZZZZZZZZZZZZZZZZZ": ""}, id="nothing like it"),
        pytest.param("ORGATE_PORT", {}, id="ours"),
        pytest.param("ORGATE_PORT_FILE", {}, id="ours, from a file"),
        pytest.param("ORGATE_TOKEN", {}, id="a client's token"),
        pytest.param("ORGATE_URL", {}, id="a client's address"),
        pytest.param("PORT", {}, id="another program's"),
    ],
)
def test_unknown_names(name: str, meant: dict[str, str]) -> None:
    """A name in the environment that looks like ours and is not gets a suggestion."""
    assert meant == unknown_names({name: "x", "PATH": "/bin"})


def test_find_key(folder: Path, state: Path) -> None:
    """The key as the settings name it now is found, and the files in which that could change."""
    environment = {"ORGATE_STATE_DIR": str(state)}
    watched = (folder / ".env", state / ".env", state / "config.toml")

    assert (None, watched) == find_key(environment, folder)[:2]
    (state / "config.toml").write_text(f'openrouter_api_key = "{KEY}"')
    assert (KEY, watched) == find_key(environment, folder)[:2]
    (state / ".env").write_text(f"OPENROUTER_API_KEY={OTHER_KEY}")
    assert (OTHER_KEY, watched[:2]) == find_key(environment, folder)[:2]
    (folder / ".env").write_text(f"OPENROUTER_API_KEY={KEY}")
    assert (KEY, watched[:1]) == find_key(environment, folder)[:2]
    environment["OPENROUTER_API_KEY"] = OTHER_KEY
    assert (OTHER_KEY, ()) == find_key(environment, folder)[:2]


@pytest.mark.parametrize("place", ["environment", ".env", "config.toml"])
def test_find_key_in_a_file(place: str, folder: Path, state: Path) -> None:
    """A file that holds the key is watched as well, wherever it is named."""
    environment = {"ORGATE_STATE_DIR": str(state)}
    path = Path.home() / "key"
    path.write_text(KEY)
    if place == "environment":
        environment["OPENROUTER_API_KEY_FILE"] = "~/key"
    elif place == ".env":
        (folder / ".env").write_text("OPENROUTER_API_KEY_FILE=~/key")
    else:
        (state / "config.toml").write_text('openrouter_api_key_file = "~/key"')
    key, deciding, read = find_key(environment, folder)

    files = {"environment": (), ".env": (folder / ".env",)}
    all_of_them = (folder / ".env", state / ".env", state / "config.toml")
    assert KEY == key
    assert (*files.get(place, all_of_them), path) == deciding
    assert {*all_of_them, path} == set(read)


def test_find_key_that_is_malformed(folder: Path) -> None:
    """A key that was replaced by something else is refused as at the start."""
    with pytest.raises(SettingsError, match="OPENROUTER_API_KEY does not start with sk-or-"):
        find_key({"OPENROUTER_API_KEY": CANARY}, folder)


def test_no_key() -> None:
    """Without a key people are told where to get one, where to put it, and how to do without."""
    message = str(NoKey())

    assert all(word in message for word in (readers.GET_A_KEY, "orgate key set", "OPENROUTER_API_KEY", "orgate demo"))
