"""
A small tray program: it shows what it is told on its standard input and tells on its standard output what happened.

Each line is a JSON object; on input its only name is what to do: "show", "send", "close", "stop".
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any

from PIL import Image

from tray.errors import NoTray
from tray.notify import Notifier, notifier
from tray.rows import SEPARATOR, Row
from tray.shell import Shell

LINKS = {"topup": "https://openrouter.ai/settings/credits"}
_lock = threading.Lock()


def main() -> int:
    """Run until told to stop."""
    shell = Shell("orgate", _tile("white"), "starting")
    if "PROBE_ROWS" in os.environ:
        shell.show(_tile("white"), "starting", _rows(json.loads(os.environ["PROBE_ROWS"])))
    messages = notifier(_pressed, image=shell.image, links=LINKS, balloon=shell.notify)
    threading.Thread(target=_listen, args=(shell, messages), daemon=True).start()
    try:
        shell.run(lambda: _tell(ready=True), lambda action: _tell(action=action))
    except NoTray as error:
        _tell(no_tray=str(error))
        return 3
    messages.stop()
    _tell(stopped=True)
    return 0


def _listen(shell: Shell, messages: Notifier) -> None:
    for line in sys.stdin:
        (task, details), *_ = json.loads(line).items()
        if task == "show":
            shell.show(_tile(details["colour"]), details["title"], _rows(details["rows"]))
        elif task == "send":
            messages.send(**details)
        elif task == "close":
            messages.close(details)
        elif task == "stop":
            shell.stop()
        _tell(done=task)


def _rows(rows: Any) -> list[Row]:
    return [
        SEPARATOR if row == "-" else Row(**{**row, "children": tuple(_rows(row.get("children", ())))}) for row in rows
    ]


def _tile(colour: str) -> Image.Image:
    return Image.new("RGBA", (64, 64), colour)


def _pressed(action: str) -> None:
    _tell(pressed=action)


def _tell(**facts: Any) -> None:
    with _lock:
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
