from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tray.errors import BadSetting
from tray.settings import Settings, load


def loaded(environment: dict[str, str] | None = None, **arguments: str | None) -> Settings:
    """The settings with this environment and these arguments."""
    return load({name.upper(): value for name, value in arguments.items()}, environment or {})


def test_defaults() -> None:
    """Without anything said, the state folder is the gateway's own, and the marks are the gateway's."""
    settings = loaded()

    assert "orgate" == settings.state.name
    assert (None, None, False) == (settings.url, settings.token, settings.state_given)
    assert (Decimal(5), Decimal(1)) == settings.marks
    assert 60 == settings.poll_s


def test_argument_over_environment(tmp_path: Path) -> None:
    """What is said on the command line counts more than the environment."""
    settings = loaded({"ORGATE_STATE_DIR": "/elsewhere", "ORGATE_URL": "http://a"}, orgate_state_dir=str(tmp_path))

    assert (tmp_path, "http://a", True) == (settings.state, settings.url, settings.state_given)


def test_token_from_a_file(tmp_path: Path) -> None:
    """A token may stand in a file of its own."""
    (tmp_path / "token").write_text("abc\n")

    assert "abc" == loaded({"ORGATE_TOKEN_FILE": str(tmp_path / "token")}).token


def test_marks_beside_the_gateway(tmp_path: Path) -> None:
    """The marks are found where the gateway finds them: environment, .env, config.toml."""
    (tmp_path / "config.toml").write_text("orgate_low_balance = [20, 2.5]\n")
    state = {"ORGATE_STATE_DIR": str(tmp_path)}

    assert (Decimal(20), Decimal("2.5")) == loaded(state).marks
    (tmp_path / ".env").write_text("ORGATE_LOW_BALANCE=8\n")
    assert (Decimal(8),) == loaded(state).marks
    assert (Decimal(9), Decimal(3)) == loaded({**state, "ORGATE_LOW_BALANCE": "3, 9"}).marks


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("http://127.0.0.1:6767/", "http://127.0.0.1:6767"),
        ("http://127.0.0.1:6767/v1", "http://127.0.0.1:6767"),
        ("localhost:6767/api/openrouter/", "http://localhost:6767"),
        ("https://box.example/api/v1", "https://box.example"),
    ],
)
def test_url(url: str, root: str) -> None:
    """Whichever of the gateway's addresses is given, its own is used."""
    assert root == loaded(orgate_url=url).url


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ORGATE_URL", "ftp://a"),
        ("ORGATE_URL", "http://"),
        ("ORGATE_URL", "http://a:99999"),
        ("ORGATE_LOW_BALANCE", "five"),
        ("ORGATE_TRAY_POLL", "0"),
        ("ORGATE_TRAY_POLL", "1e9"),
        ("ORGATE_TOKEN_FILE", "/nonexistent/token"),
        ("ORGATE_STATE_DIR", __file__),
    ],
)
def test_bad_value(name: str, value: str) -> None:
    """A value that cannot be used ends the start with the setting's name."""
    with pytest.raises(BadSetting, match=name):
        loaded({name: value})
