"""lm-proxy, the smallest of the Python gateways."""

from __future__ import annotations

from pathlib import Path

from tests.bench.candidates.base import KEY, Place, Service
from tests.bench.processes import free_port, start

_CONFIGURATION = """
host = "127.0.0.1"
port = {port}

[connections.up]
api_type = "open_ai"
api_base = "{url}"
api_key = "{key}"

[routing]
"*" = "up.*"

[groups.default]
api_keys = ["bench"]
"""


class LmProxy:
    """Python; one process."""

    name = "lm-proxy"

    def missing(self, prefix: Path) -> str | None:
        """Looked for below the prefix."""
        where = prefix / "lm-proxy"
        made = f"python3 -m venv {where} && {where}/bin/pip install lm-proxy"
        return None if (where / "bin/lm-proxy").exists() else made

    def start(self, place: Place) -> Service:
        """One connection, one group of keys."""
        port = free_port()
        place.folder.mkdir(parents=True, exist_ok=True)
        configuration = place.folder / "config.toml"
        configuration.write_text(_CONFIGURATION.format(port=port, url=place.upstream_url, key=KEY))
        program = start([place.prefix / "lm-proxy/bin/lm-proxy", "--config", configuration], place.folder)
        return Service(port, "/v1/chat/completions", ("Authorization: Bearer bench",), program, health="/health")

    def installed(self, prefix: Path) -> Path | None:
        """Its own environment."""
        return prefix / "lm-proxy/lib"
