"""`orgate-tray`: what is left at OpenRouter, in the desktop's tray, a terminal or a status bar."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from tray.autostart import Autostart, Kind
from tray.errors import AlreadyRunning, BadSetting, NoTray, TrayError
from tray.settings import Settings, load

FAILED, MISUSED, TAKEN = 1, 2, 4
_FACTS = ("hint", "why", "action")
_EPILOG = """\
examples:
  orgate-tray                     the icon in the tray
  orgate-tray --once              how things stand, in a few lines
  orgate-tray --json              the same for a program, on one line
  orgate-tray --watch --json      a line whenever something has changed; Waybar reads it as it is

exit codes:
  0  done; --once and --json tell in what they print how the gateway is
  1  the desktop has no tray for the icon, or something cannot be written
  2  wrong usage or an unusable setting
  4  the tray already runs on this state folder
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The entry point of the `orgate-tray` command; its exit code."""
    wanted = _parser().parse_args(arguments)
    _log_to_stderr()
    try:
        settings = load(
            {"ORGATE_URL": wanted.url, "ORGATE_STATE_DIR": wanted.state_dir, "ORGATE_TRAY_POLL": wanted.poll},
            os.environ,
        )
        return _run(wanted, settings)
    except TrayError as error:
        print(error, file=sys.stderr)
        return {BadSetting: MISUSED, AlreadyRunning: TAKEN}.get(type(error), FAILED)
    except BrokenPipeError:
        # Whoever read along has gone; the rest of the output has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 0
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        print(f"{error.strerror or error}{place}", file=sys.stderr)
        return FAILED


def _run(wanted: argparse.Namespace, settings: Settings) -> int:
    from tray import program

    if wanted.enable_autostart:
        _start_at_login(program.logins(settings), wanted.enable_autostart)
    elif wanted.disable_autostart:
        for login in program.logins(settings):
            login.disable()
        print("The tray no longer starts at login.")
    elif wanted.watch:
        program.watch(settings, as_json=wanted.json)
    elif wanted.once or wanted.json:
        program.look_once(settings, as_json=wanted.json)
    else:
        _show_icon(settings)
    return 0


def _start_at_login(ways: list[Autostart], kind: str) -> None:
    chosen = next((way for way in ways if kind in ("auto", way.kind)), None)
    if chosen is None:
        raise BadSetting(f"--enable-autostart {kind} is another system's; here it is one of {_names(ways)}.")
    for other in ways:
        if other is not chosen:
            # Two trays would start, and the second complain of the first.
            other.disable()
    chosen.enable()
    print(f"The tray starts at login from now on: {chosen.place}")


def _names(ways: list[Autostart]) -> str:
    return ", ".join(way.kind for way in ways)


def _show_icon(settings: Settings) -> None:
    from tray import program
    from tray.files import only_one

    with only_one(settings.state):
        try:
            program.show_icon(settings)
        except NoTray as error:
            if not sys.stdout.isatty():
                raise
            print(error, file=sys.stderr)
            program.watch(settings, as_json=False)


class _Line(logging.Formatter):
    """The event, and what it was given beside: "tray.hidden: …"."""

    def format(self, record: logging.LogRecord) -> str:
        facts = [str(found) for name in _FACTS if (found := getattr(record, name, None)) is not None]
        record.msg, record.args = ": ".join([f"orgate-tray: {record.getMessage()}", *facts]), None
        return super().format(record)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line())
    log = logging.getLogger("orgate.tray")
    log.handlers, log.propagate = [handler], False


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="orgate-tray",
        description="Show what is left at OpenRouter in the desktop's tray, and warn before it runs out.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--once", action="store_true", help="print how things stand and end")
    parser.add_argument("--json", action="store_true", help="print it as JSON; alone it means --once")
    parser.add_argument("--watch", action="store_true", help="print a line whenever something has changed")
    parser.add_argument("--url", metavar="URL", help="another gateway's address  [ORGATE_URL; token: ORGATE_TOKEN]")
    parser.add_argument("--state-dir", metavar="DIR", help="the gateway's state folder  [ORGATE_STATE_DIR]")
    parser.add_argument("--poll", metavar="S", help="seconds between two looks; 60  [ORGATE_TRAY_POLL]")
    parser.add_argument(
        "--enable-autostart",
        nargs="?",
        const="auto",
        choices=["auto", *map(str, Kind)],
        metavar="KIND",
        help=f"start the tray at login; KIND is one of {', '.join(Kind)}",
    )
    parser.add_argument("--disable-autostart", action="store_true", help="start it at login no longer")
    return parser


if __name__ == "__main__":
    sys.exit(main())
