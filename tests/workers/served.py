"""`orgate serve --workers N` as its users start it, and which of its processes does what."""

from __future__ import annotations

import http.client
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from app.sandbox import Sandbox
from tests.cli.processes import Running, orgate, started
from tests.waiting import eventually

KEY = "sk-or-v1-" + "a" * 60
CHAT = "/v1/chat/completions"


def body(model: str = "sandbox/ok", **fields: Any) -> dict[str, Any]:
    """A chat; fields of the body by name."""
    return {"model": model, "messages": [{"role": "user", "content": "Hello"}], **fields}


@dataclass
class Crowd:
    """A gateway of more than one process."""

    running: Running
    sandbox: Sandbox
    folder: Path
    lines: list[http.client.HTTPConnection] = field(default_factory=list)
    """All connections that were made here."""

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.running.told["base_url"].rpartition(":")[2])

    @property
    def keeper(self) -> int:
        """The process that was started."""
        return self.running.process.pid

    def carriers(self) -> list[int]:
        """The processes that it has started."""
        return children(self.keeper)

    def token(self, app: str = "tester", *options: str) -> str:
        """A new token for an app."""
        done = orgate("token", "issue", app, *options, "--state-dir", str(self.folder))
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def own_token(self) -> str:
        """The token of the owner's own tools."""
        return (self.folder / "token").read_text().strip()

    def pids(self) -> tuple[int, ...]:
        """All its processes, the keeper first."""
        return (self.keeper, *self.carriers())

    def request(self, method: str, path: str, token: str, **rest: Any) -> requests.Response:
        """A request over a connection of its own."""
        with requests.Session() as session:
            session.trust_env = False
            headers = {"Authorization": f"Bearer {token}", **rest.pop("headers", {})}
            return session.request(method, self.running.told["base_url"] + path, headers=headers, timeout=30, **rest)

    def chat(self, token: str, model: str = "sandbox/ok", **rest: Any) -> requests.Response:
        """A plain chat over a connection of its own."""
        return self.request("POST", CHAT, token, json=body(model), **rest)

    def new_line(self) -> http.client.HTTPConnection:
        """A connection that whichever process takes."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        self.lines.append(line)
        line.connect()
        return line

    def line(self, pid: int) -> http.client.HTTPConnection:
        """A connection that this process has taken."""
        refused = []
        try:
            for _ in range(500):
                line = self.new_line()
                holder = eventually(lambda line=line: self._holder(line))  # type: ignore[misc]
                if holder == pid:
                    return line
                refused.append(line)
        finally:
            for other in refused:
                other.close()
        raise AssertionError(f"process {pid} takes no connection")

    def holder(self, line: http.client.HTTPConnection) -> int:
        """The process that has taken a connection."""
        found: int = eventually(lambda: self._holder(line))
        return found

    def posts(self) -> list[dict[str, Any]]:
        """What OpenRouter was sent, and was to be paid for."""
        return [row for row in self.sandbox.log() if row["method"] == "POST"]

    def kill(self, pid: int) -> None:
        """End one process as the system does when it has no memory left."""
        assert pid in self.carriers()
        os.kill(pid, signal.SIGKILL)

    def _holder(self, line: http.client.HTTPConnection) -> int:
        """0 as long as nobody has it."""
        inode = _inode(self.port, line.sock.getsockname()[1])
        for pid in (self.keeper, *self.carriers()) if inode else ():
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                try:
                    if descriptor.readlink().name == f"socket:[{inode}]":
                        return pid
                except OSError:
                    continue
        return 0


@dataclass
class Dripping:
    """A streamed answer that has begun, and goes on for longer than a test."""

    line: http.client.HTTPConnection
    answer: http.client.HTTPResponse

    def rest(self) -> bytes:
        """All that still comes, as far as it does."""
        try:
            return self.answer.read()
        except (http.client.HTTPException, OSError) as error:
            return getattr(error, "partial", b"")

    def close(self) -> None:
        """The app leaves."""
        self.answer.close()
        self.line.close()


def dripping(line: http.client.HTTPConnection, token: str, model: str = "sandbox/drip-500") -> Dripping:
    """A long answer on this connection."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    line.request("POST", CHAT, json.dumps(body(model, stream=True)), headers)
    answer = line.getresponse()
    assert answer.status == 200, answer.read()
    answer.read1(64)
    return Dripping(line, answer)


def ask(line: http.client.HTTPConnection, token: str, **fields: Any) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of a chat on this connection."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", **fields.pop("headers", {})}
    line.request("POST", CHAT, json.dumps(body(**fields)), headers)
    answer = line.getresponse()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


@contextmanager
def crowd(sandbox: Sandbox, folder: Path, workers: int = 2, *, alone: bool = False, **settings: str) -> Iterator[Crowd]:
    """A gateway of so many processes in front of the sandbox; settings by their names, `alone` as in `started`."""
    done = orgate("key", "set", "--state-dir", str(folder), text=KEY)
    assert done.returncode == 0, done.stderr
    arguments = ("serve", "--port", "0", "--workers", str(workers), "--state-dir", str(folder))
    given = {"OPENROUTER_BASE_URL": sandbox.url, "LOG_LEVEL": "warning", **settings}
    with started(*arguments, alone=alone, **given) as running:
        gateway = Crowd(running, sandbox, folder)
        eventually(lambda: len(gateway.carriers()) == workers - 1)
        try:
            yield gateway
        finally:
            for line in gateway.lines:
                line.close()


def children(pid: int) -> list[int]:
    """The processes that this one has started and that still run."""
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        # Others come and go meanwhile.
        with suppress(OSError):
            state, parent = place.read_text().rpartition(")")[2].split()[:2]
            if state != "Z" and int(parent) == pid:
                found.append(int(place.parent.name))
    return found


def _inode(port: int, other: int) -> str | None:
    """The socket at our end of a connection; "0" as long as nobody has taken it."""
    for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        columns = row.split()
        here, there = (int(columns[each].rpartition(":")[2], 16) for each in (1, 2))
        if (here, there) == (port, other) and columns[9] != "0":
            return columns[9]
    return None
