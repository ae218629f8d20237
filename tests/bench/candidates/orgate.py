"""The gateway, as its users start it, with everything on; only the quota is raised."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.bench.candidates.base import KEY, Place, Service
from tests.bench.processes import clean_environment, free_port, start

ROOT = Path(__file__).resolve().parents[3]
COMMAND = (sys.executable, "-c", "from app.cli.main import main; main()")


class Orgate:
    """Door, token, quota, a hold for every call, metrics, log; `options` are more words for `orgate serve`."""

    def __init__(self, options: tuple[str, ...] = ()) -> None:
        self.name = " ".join(("orgate", *options))
        self._options = options

    def missing(self, prefix: Path) -> str | None:
        """It is this repository."""
        return None

    def start(self, place: Place) -> Service:
        """With a state folder of its own and a token from it."""
        return serve(place, place.upstream_url, options=self._options)

    def installed(self, prefix: Path) -> Path | None:
        """It is counted by its requirements."""
        return None


def serve(place: Place, base_url: str, *, options: tuple[str, ...] = (), **settings: str) -> Service:
    """A gateway in front of this address; settings by their names."""
    port = free_port()
    state = place.folder / "state"
    environment = {
        "PYTHONPATH": str(ROOT),
        "HOME": str(place.folder),
        "OPENROUTER_API_KEY": KEY,
        "OPENROUTER_BASE_URL": base_url,
        "ORGATE_STATE_DIR": str(state),
        "ORGATE_PORT": str(port),
        "ORGATE_RATE_CHAT": "1000000 per minute",
        "ORGATE_MAX_STREAMS": "512",
        **settings,
    }
    place.folder.mkdir(parents=True, exist_ok=True)
    token = run(environment, "token", "issue", "bench").strip()
    program = start([*COMMAND, "serve", *options], place.folder, environment)
    headers = (f"Authorization: Bearer {token}",)
    return Service(port, "/v1/chat/completions", headers, program, health="/health")


def run(environment: Mapping[str, str], *words: str) -> str:
    """What a command of orgate prints."""
    done = subprocess.run(
        [*COMMAND, *words],
        env={**clean_environment(), **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout
