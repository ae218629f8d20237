"""Nobody between: what everything else is compared with."""

from __future__ import annotations

from pathlib import Path

from tests.bench.candidates.base import Place, Service


class Direct:
    """The upstream itself."""

    name = "direct"

    def missing(self, prefix: Path) -> str | None:
        """It is always there."""
        return None

    def start(self, place: Place) -> Service:
        """Nothing is started."""
        return Service(place.upstream, "/api/v1/chat/completions")

    def installed(self, prefix: Path) -> Path | None:
        """Nothing is."""
        return None
