"""The client rows of the fault matrix that have no test, and why."""

from __future__ import annotations

NOT_TESTED = {
    "C27": "budgets come with the ledger (design §6, §11): there is nothing yet that could be exceeded",
    "C28": "the guard against repeated calls comes later (design §11)",
    "C29": "Idempotency-Key comes later (design §11)",
}
"""Row → reason."""
