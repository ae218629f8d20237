"""A whole gateway on real sockets, for tests."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flask
import requests

from app.factory import create_app
from app.sandbox.server import Sandbox
from app.server import Server
from app.services.bundle import Services
from app.settings import load

KEY = "sk-or-v1-" + "0123456789abcdef" * 4
API = "/api/openrouter"


@dataclass
class Gateway:
    """A running gateway and how to speak to it."""

    base_url: str
    port: int
    services: Services
    sandbox: Sandbox
    server: Server
    app: flask.Flask
    folder: Path

    @property
    def secret(self) -> bytes:
        """What the tokens are signed with."""
        return bytes.fromhex((self.folder / "secret").read_text())

    def token(self, app: str = "tester", **grant: Any) -> str:
        """A new token for an app; all scopes if none are named."""
        return self.services.office.issue(app, **grant)[0]

    def request(self, method: str, path: str, *, token: str | None = "", **rest: Any) -> requests.Response:
        """A request with a fresh token, unless one is given or None."""
        headers = dict(rest.pop("headers", {}))
        if token is not None:
            headers.setdefault("Authorization", f"Bearer {token or self.token()}")
        session = requests.Session()
        session.trust_env = False
        return session.request(method, self.base_url + path, headers=headers, timeout=30, **rest)

    def get(self, path: str, **rest: Any) -> requests.Response:
        """A GET below the document's address."""
        return self.request("GET", API + path, **rest)

    def chat(self, model: str = "sandbox/ok", text: str = "Hello", **body: Any) -> requests.Response:
        """A chat; fields of the body by name."""
        token, headers = body.pop("token", ""), body.pop("headers", {})
        whole = {"model": model, "messages": [{"role": "user", "content": text}], **body}
        return self.request(
            "POST",
            f"{API}/chat/completions",
            token=token,
            headers=headers,
            json=whole,
            stream=bool(body.get("stream")),
        )

    def raw(self, data: bytes) -> bytes:
        """What comes back for these bytes until the gateway closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR) if not data else None
            received = b""
            while chunk := connection.recv(65536):
                received += chunk
        return received


@contextmanager
def running_gateway(sandbox: Sandbox, folder: Path, **arguments: str) -> Iterator[Gateway]:
    """A gateway in front of the sandbox; settings by their names in lower case."""
    given: Mapping[str, str] = {
        "OPENROUTER_API_KEY": KEY,
        "OPENROUTER_BASE_URL": sandbox.url,
        "ORGATE_STATE_DIR": str(folder),
        "ORGATE_PORT": "0",
        **{name.upper(): value for name, value in arguments.items()},
    }
    settings = load(given, environment={}, working_folder=folder)
    app = create_app(settings)
    services: Services = app.extensions["orgate"].services
    server = Server(app, settings.host, settings.port, calls=settings.max_streams)
    server.start()
    try:
        yield Gateway(server.base_url, server.port, services, sandbox, server, app, folder)
    finally:
        server.close(services.drain, grace_s=0.2)
        services.stop()
