"""What all processes have in common, as a carrier has it: the keeper is asked."""

from __future__ import annotations

from app.core import notices
from app.core.calls import CallReport
from app.core.errors import Json
from app.core.redact import clean
from app.workers.lines import Lines


class CommonAccount:
    """The money at OpenRouter."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def remaining(self) -> int | None:
        """What is left by the figures at hand, in nano-dollars."""
        found: int | None = self._lines.ask("remaining")
        return found

    def doubtful(self) -> None:
        """The figures are older than the truth."""
        self._lines.tell("doubtful")


class CommonEvents:
    """The Events port: what the keeper counts and announces. Each process writes its own log."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def call_ended(self, report: CallReport) -> None:
        """It is told of with all that its end is."""

    def note(self, event: str, **facts: object) -> None:
        """Announce it if it is one that is told."""
        if notices.kind_of(event, "info") is not None:
            self._lines.tell("note", event, _plain(facts))

    def warn(self, event: str, **facts: object) -> None:
        """Count it, and announce it if it is one that is told."""
        self._lines.tell("warn", event, _plain(facts))

    def broke(self, event: str, error: BaseException, **facts: object) -> None:
        """Count it, and announce it if it is one that is told, with no more of the error than its kind."""
        self._lines.tell("broke", event, type(error).__name__, _plain(facts))

    def debug(self, event: str, **facts: object) -> None:
        """Details are for the log."""


class CommonCatalogue:
    """OpenRouter's catalogues, which the keeper fetches for everybody."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def get(self, path: str, *, key: str | None) -> tuple[int, bytes]:
        """A catalogue as OpenRouter sent it; raises GatewayError."""
        found: bytes = self._lines.ask("catalogue", path)
        return 200, found


def _plain(facts: dict[str, object]) -> dict[str, Json]:
    return {name: clean(value) for name, value in facts.items()}
