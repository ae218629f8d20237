"""Portkey's gateway, with its provider in the headers of each call, as it is used without its cloud."""

from __future__ import annotations

from pathlib import Path

from tests.bench.candidates.base import KEY, Place, Service
from tests.bench.processes import free_port, start

_LOOPBACK_ONLY = """
const net = require("net");
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...rest) {
  return listen.call(this, { port, host: "127.0.0.1" }, ...rest.filter((word) => typeof word === "function"));
};
"""
"""It has no setting for the address, and would be open to the network."""

_PACKAGE = '{"dependencies":{"@portkey-ai/gateway":"^1.15.2"},"overrides":{"@hono/node-server":"1.13.8"}}'
"""With newer versions of that server, which npm would choose, 1.15.2 answers every streamed call with 500."""


class Portkey:
    """Node; one process."""

    name = "Portkey"

    def missing(self, prefix: Path) -> str | None:
        """Looked for below the prefix."""
        if _script(prefix).exists():
            return None
        where = prefix / "portkey"
        return f"mkdir -p {where} && echo '{_PACKAGE}' > {where}/package.json && npm install --prefix {where}"

    def start(self, place: Place) -> Service:
        """Without its console."""
        port = free_port()
        place.folder.mkdir(parents=True, exist_ok=True)
        bound = place.folder / "loopback.cjs"
        bound.write_text(_LOOPBACK_ONLY)
        command: list[str | Path] = ["node", "--require", bound, _script(place.prefix), "--headless", f"--port={port}"]
        trusted = {"TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost", "NODE_ENV": "production"}
        program = start(command, place.folder, trusted)
        headers = (
            f"Authorization: Bearer {KEY}",
            "x-portkey-provider: openrouter",
            f"x-portkey-custom-host: {place.upstream_url}",
        )
        return Service(port, "/v1/chat/completions", headers, program, health="/")

    def installed(self, prefix: Path) -> Path | None:
        """Its own node_modules."""
        return prefix / "portkey/node_modules"


def _script(prefix: Path) -> Path:
    return prefix / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"
