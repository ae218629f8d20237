"""The bulletin: notices kept for those who listen, as they come and for a while after."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from app.core import notices
from app.core.calls import CallReport
from app.core.errors import Json, Unavailable
from app.core.notices import Listener, Notice
from app.core.ports import Clock
from app.core.redact import clean

READERS = 16
"""So many may listen at once."""

_KEPT = 100
_REPEAT_S = 600.0
"""What comes again and again is told again after so long."""


class Bulletin:
    """An Events port that keeps the last hundred notices, and hands alerts on to the listeners."""

    def __init__(self, clock: Clock, listeners: Sequence[Listener] = ()) -> None:
        self._clock = clock
        self._listeners = tuple(listeners)
        self._changed = threading.Condition()
        self._notices: deque[Notice] = deque(maxlen=_KEPT)
        self._told_at: dict[tuple[Json, ...], float] = {}
        # Numbers go on from those before a restart: nobody can publish a thousand notices a second for long.
        self._last_id = int(clock.now() * 1000)
        self._readers = 0
        self._closed = False

    def call_ended(self, report: CallReport) -> None:
        """Calls are not announced."""

    def note(self, event: str, **facts: object) -> None:
        """Publish the event if it is one that is told."""
        self._publish(event, "info", facts)

    def warn(self, event: str, **facts: object) -> None:
        """Publish the event if it is one that is told."""
        self._publish(event, "warning", facts)

    def broke(self, event: str, error: BaseException, **facts: object) -> None:
        """Publish that it failed, if it is one that is told, with no more of the error than its kind."""
        self._publish(event, "error", {"why": type(error).__name__, **facts})

    def debug(self, event: str, **facts: object) -> None:
        """Details are for the log."""

    def reader(self, since: int | None = None) -> Reader:
        """
        One who listens from now on, or from after the notice with this id as far as those are remembered.

        An id from the future is another gateway's: all that is remembered is new then.
        Raises Unavailable when too many do already, or the gateway is stopping.
        """
        with self._changed:
            if self._closed:
                raise Unavailable("The gateway is stopping.", code="stopping", retry_after_s=5, should_retry=True)
            if self._readers >= READERS:
                message = f"{READERS} programs listen to /events already, which is as many as can."
                raise Unavailable(message, code="too_many_readers", retry_after_s=30, should_retry=True)
            self._readers += 1
            known = self._last_id if since is None else since
            return Reader(self, known if known <= self._last_id else 0)

    def close(self) -> None:
        """Send everybody home: the gateway is stopping."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def after(self, since: int, wait_s: float) -> list[Notice] | None:
        """The notices after this id, waiting up to so many seconds for the first; None once there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._last_id > since, wait_s)
            return None if self._closed else [notice for notice in self._notices if notice.id > since]

    def leave(self) -> None:
        """One reader less."""
        with self._changed:
            self._readers -= 1

    def _publish(self, event: str, level: str, facts: dict[str, object]) -> None:
        kind = notices.kind_of(event, level)
        if kind is None:
            return
        plain: dict[str, Json] = {name: clean(value) for name, value in facts.items()}
        with self._changed:
            notice = Notice(self._last_id + 1, self._clock.now(), kind, event, level, plain)
            if self._is_repeated(notice):
                return
            self._keep(notice)
        if kind == notices.ALERT:
            for listener in self._listeners:
                listener.tell(notice)

    def _keep(self, notice: Notice) -> None:
        if notice.kind == notices.CREDITS:
            # Only the newest figures are of use; older ones would push alerts out.
            self._notices = deque((one for one in self._notices if one.kind != notices.CREDITS), maxlen=_KEPT)
        self._notices.append(notice)
        self._last_id = notice.id
        self._changed.notify_all()

    def _is_repeated(self, notice: Notice) -> bool:
        now = self._clock.monotonic()
        self._told_at = {subject: at for subject, at in self._told_at.items() if now - at < _REPEAT_S}
        if notice.subject is None or notice.subject in self._told_at:
            return notice.subject is not None
        self._told_at[notice.subject] = now
        return False


class Reader:
    """One who listens; to be closed."""

    def __init__(self, bulletin: Bulletin, since: int) -> None:
        self._bulletin = bulletin
        self._lock = threading.Lock()
        self._gone = False
        self.since = since
        """The id of the last notice that was read, or that came before all that will be."""

    def more(self, wait_s: float) -> list[Notice] | None:
        """The notices since the last time, after up to so many seconds; None when there will be no more."""
        found = self._bulletin.after(self.since, wait_s)
        if found:
            self.since = found[-1].id
        return found

    def close(self) -> None:
        """Stop listening; a second time does no harm."""
        with self._lock:
            if not self._gone:
                self._gone = True
                self._bulletin.leave()
