"""A ledger as a busy year leaves it: so many settled attempts, and the sums that belong to them."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from app.adapters.clock import SystemClock
from app.adapters.ledger import SqlLedger
from app.adapters.statefiles import private_folder
from app.services.events import Fanout

_YEAR_MS = 365 * 86_400_000

_ATTEMPTS = """
WITH RECURSIVE count(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM count WHERE n + 1 < :rows)
INSERT INTO attempts (id, call_id, number, at, app, endpoint, asked, model, key_id, stream, state, hold, priced, cost,
                      source, prompt_tokens, completion_tokens, status, outcome, duration_ms, closed_at)
SELECT 'bench-' || n || '-1', 'bench-' || n, 1, :begin + n * :step, 'app-' || (n % 10), 'chat', 'author/model-' ||
       (n % 40), 'author/model-' || (n % 40), 'bench', n % 2, 'settled', 2000000, 1, 1230000, 'answer', 123, 210, 200,
       'delivered', 900, :begin + n * :step + 900
FROM count
"""

_SPENDING = """
INSERT INTO spending (app, day, key_id, cost)
SELECT app, at / 86400000, key_id, sum(cost) FROM attempts GROUP BY 1, 2, 3
"""

_HOURS = """
INSERT INTO hours (hour, app, agent, model, calls, attempts, prompt_tokens, completion_tokens, cost, estimated)
SELECT at / 3600000, app, '', model, count(*), count(*), sum(prompt_tokens), sum(completion_tokens), sum(cost), 0
FROM attempts GROUP BY 1, 2, 3, 4
"""


def write_rows(state: Path, rows: int) -> None:
    """A ledger in this state folder with so many attempts, spread over the year that ends now."""
    private_folder(state)
    path = state / "ledger.db"
    ledger = SqlLedger(path, SystemClock(), Fanout([]))
    ledger.open_for_use()
    ledger.stop()
    step = _YEAR_MS // rows
    begin = int(time.time() * 1000) - rows * step
    connection = sqlite3.connect(path)
    try:
        connection.execute(_ATTEMPTS, {"rows": rows, "begin": begin, "step": step})
        connection.execute(_SPENDING)
        connection.execute(_HOURS)
        connection.commit()
    finally:
        connection.close()
