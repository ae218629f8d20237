"""The stories of the last calls, for `orgate explain`."""

from __future__ import annotations

import threading
from collections import OrderedDict

from app.core.calls import CallReport
from app.core.grants import OWNER

_KEPT = 2000


class Stories:
    """Remembers what the last calls were and became; nothing in it is message text."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reports: OrderedDict[str, CallReport] = OrderedDict()

    def keep(self, report: CallReport) -> None:
        """Remember this call; the oldest is forgotten."""
        with self._lock:
            self._reports[report.call_id] = report
            if len(self._reports) > _KEPT:
                self._reports.popitem(last=False)

    def find(self, call_id: str, app: str) -> CallReport | None:
        """The call with this id, if this app made it; an app knows nothing of another's calls."""
        with self._lock:
            report = self._reports.get(call_id)
        return report if report is not None and app in (report.app, OWNER) else None
