"""
A process whose children are killed: for every line of its input it forks one that works a ledger and says what is done.

A line is a number that the attempts are named after, and the path of the ledger. What comes out: "pid N" of the child,
"reserved NAME" and "settled NAME COST" once that is committed, "ended" when the child is gone.
"""

from __future__ import annotations

import os
import random
import sys
import threading
from pathlib import Path

from app.adapters.clock import SystemClock
from app.adapters.ledger import SqlLedger
from app.core.budget import Budget
from app.services.events import Fanout
from tests.adapters.ledger.ledgers import ambiguous, hold, released, settled

_THREADS = 4


def say(*words: object) -> None:
    """One line, whole or not at all."""
    os.write(1, (" ".join(str(word) for word in words) + "\n").encode())


def work(ledger: SqlLedger, trial: str, thread: int) -> None:
    """Reserve, end in every way there is, and say so, for ever."""
    chance = random.Random(f"{trial} {thread}")
    number = 0
    while True:
        number += 1
        name = f"{trial}.{thread}.{number}:1"
        ledger.reserve(hold(name, 1_000, app=f"app{thread}"), [Budget("total", 10**15)])
        say("reserved", name)
        match chance.randrange(6):
            case 0:
                ledger.identify(name, f"gen-{name}")
            case 1:
                ledger.close(released(name))
            case 2:
                ledger.close(ambiguous(name, generation_id=f"gen-{name}"))
            case _:
                cost = chance.randrange(1, 1_000)
                ledger.close(settled(name, cost))
                if chance.random() < 0.5:
                    ledger.flush()
                    say("settled", name, cost)


def child(path: Path, trial: str) -> None:
    """Work until the end of the process."""
    ledger = SqlLedger(path, SystemClock(), Fanout([]))
    ledger.open_for_use()
    for thread in range(1, _THREADS):
        threading.Thread(target=work, args=(ledger, trial, thread), daemon=True).start()
    work(ledger, trial, 0)


def main() -> None:
    """Serve the lines of the input."""
    for line in sys.stdin:
        trial, _, path = line.strip().partition(" ")
        pid = os.fork()
        if pid == 0:
            try:
                child(Path(path), trial)
            finally:
                os._exit(1)
        say("pid", pid)
        os.waitpid(pid, 0)
        say("ended")


if __name__ == "__main__":
    main()
