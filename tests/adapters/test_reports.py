from __future__ import annotations

import gzip
import json
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import sentry_sdk

from app.adapters.reports import SentrySink
from app.settings import SettingsError
from tests.adapters.calls import attempt, report
from tests.gateway import Gateway
from tests.services.fakes import FakeClock

KEY = "sk-or-v1-canary0123456789"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
TEXT = "CANARY-PROMPT: what do you know of me?"
PUBLIC_KEY = "0123456789abcdef0123456789abcdef"


@dataclass
class Sentry:
    """A server that takes Sentry's envelopes."""

    port: int = 0
    paths: list[str] = field(default_factory=list)
    raw: bytes = b""
    """Everything that ever came: request heads and decompressed bodies."""
    events: list[dict[str, Any]] = field(default_factory=list)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    @property
    def dsn(self) -> str:
        """Where to report to."""
        return f"http://{PUBLIC_KEY}@127.0.0.1:{self.port}/42"

    def take(self, path: str, head: bytes, body: bytes) -> None:
        """Keep one envelope: a head, then pairs of an item's head and its body, a line each."""
        lines = [json.loads(line) for line in body.splitlines() if line]
        self.paths.append(path)
        self.raw += head + body
        self.events += [item for kind, item in zip(lines[1::2], lines[2::2], strict=True) if kind["type"] == "event"]
        self.arrived.release()


@pytest.fixture
def sentry() -> Iterator[Sentry]:
    """A Sentry on loopback."""
    sentry = Sentry()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert "gzip" == self.headers["Content-Encoding"]
            sentry.take(self.path, bytes(self.headers), gzip.decompress(body))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    sentry.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield sentry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sink(sentry: Sentry, clock: FakeClock) -> Iterator[SentrySink]:
    """A sink that reports to it; closing it delivers what waits."""
    sink = SentrySink(sentry.dsn, release="orgate@1.2.3", clock=clock)
    yield sink
    sink.close()


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def broken(secret: str) -> BaseException:
    """An exception whose text and variables hold a secret, raised from another one."""
    local = f"{secret} in a variable"
    try:
        try:
            raise FileNotFoundError(2, f"No such file {local}", f"/home/{secret}")
        except OSError:
            raise ValueError(f"bad header {local}") from KeyError(local)
    except ValueError as error:
        error.add_note(local)
        return error


def failed(**facts: Any) -> Any:
    """A call that OpenRouter failed."""
    return report(**{"status": 502, "outcome": "stream_incomplete", "attempts": (attempt(reason="x"),), **facts})


def test_failure_of_ours(sink: SentrySink, sentry: Sentry) -> None:
    """A failure arrives with its event, its exceptions' types, and the stack by function and line."""
    sink.broke("web.broke", broken("nothing"), path="/v1/models")
    sink.close()

    (event,) = sentry.events
    values = event["exception"]["values"]
    frame = values[-1]["stacktrace"]["frames"][-1]
    assert ["/api/42/envelope/"] == sentry.paths
    assert ["KeyError", "ValueError"] == [one["type"] for one in values]
    assert ("broken", "test_reports.py", __name__) == (frame["function"], frame["filename"], frame["module"])
    assert frame["lineno"] > 100
    assert ({"event": "web.broke"}, "orgate@1.2.3", "error") == (event["tags"], event["release"], event["level"])


@pytest.mark.parametrize("secret", [KEY, f"Bearer {KEY}", TOKEN, TEXT])
def test_no_secret_in_a_failure(sink: SentrySink, sentry: Sentry, secret: str) -> None:
    """No byte that is sent holds a variable, an exception's text, a fact of the request, a path, the machine's name."""
    sink.broke("web.broke", broken(secret), path=f"/{secret}", body=secret)
    sink.close()

    assert b"ValueError" in sentry.raw
    for leak in (secret, "canary", "CANARY", "variable", "vars", "abs_path", str(Path.cwd()), socket.gethostname()):
        assert leak.encode() not in sentry.raw


def test_codes_of_exceptions(sink: SentrySink, sentry: Sentry) -> None:
    """Of an exception's own words only codes are told: the system's, and those of our errors."""
    try:
        raise OSError(28, TEXT)
    except OSError as error:
        sink.broke("ledger.broke", error)
    sink.close()

    assert "ENOSPC" == sentry.events[0]["exception"]["values"][0]["value"]


def test_failed_call(sink: SentrySink, sentry: Sentry) -> None:
    """The document's error tracker: a failed call arrives with code, status, model, fallbacks and endpoint."""
    sink.call_ended(failed())
    sink.close()

    (event,) = sentry.events
    assert "OpenRouter Error: stream_incomplete" in json.dumps(event)
    assert {
        "code": "stream_incomplete",
        "status": "502",
        "model": "openai/gpt-4",
        "endpoint": "/chat/completions",
    } == event["tags"]
    assert {"fallbacks": ["google/gemini"], "call_id": "call_1", "unreported_before": 0}.items() <= event[
        "extra"
    ].items()
    assert "timestamp" in event


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(report(), id="answered"),
        pytest.param(report(status=499, outcome="left"), id="the app left"),
        pytest.param(report(status=429, outcome="quota_exceeded", attempts=()), id="refused by the gateway"),
    ],
)
def test_calls_that_are_no_failure(sink: SentrySink, sentry: Sentry, call: Any) -> None:
    """A call that was answered, left or refused by the gateway itself is not reported."""
    sink.call_ended(call)
    sink.note("gateway.ready")
    sink.warn("credits.low")
    sink.debug("relay.sent")
    sink.close()

    assert b"" == sentry.raw


@pytest.mark.parametrize("secret", [KEY, f"a/{KEY}", TOKEN, TEXT])
def test_no_text_of_a_call(sink: SentrySink, sentry: Sentry, secret: str) -> None:
    """What an app calls a model, and what OpenRouter calls an error, is told only when it has the form of one."""
    sink.call_ended(
        failed(model=secret, fallbacks=(secret,), outcome=f"{secret} ", provider=secret, served_model=secret)
    )
    sink.close()

    assert "other" == sentry.events[0]["tags"]["model"]
    assert secret.encode() not in sentry.raw
    assert b"canary" not in sentry.raw


def test_ten_a_minute(sink: SentrySink, sentry: Sentry, clock: FakeClock) -> None:
    """At most ten failed calls a minute are reported; the next report tells how many were not."""
    for _ in range(25):
        sink.call_ended(failed())
    sink.broke("web.broke", ValueError())
    clock.time += 60
    sink.call_ended(failed())
    sink.close()

    assert 12 == len(sentry.events)
    assert [0] * 11 + [15] == [event["extra"]["unreported_before"] for event in sentry.events]


def test_environment_is_left_alone(sentry: Sentry, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the environment's proxies nor its Sentry settings count, and the process's own Sentry stays unset."""
    for name in ("http_proxy", "https_proxy", "SENTRY_DSN", "SENTRY_SPOTLIGHT"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("SENTRY_RELEASE", "theirs")
    sink = SentrySink(sentry.dsn, release="orgate@1.2.3", clock=clock)
    sink.broke("web.broke", ValueError())
    sink.close()

    assert ["orgate@1.2.3"] == [event["release"] for event in sentry.events]
    assert not sentry_sdk.is_initialized()
    assert "sentry" not in sys.excepthook.__module__


def test_silent_sentry_delays_nothing(silent: int) -> None:
    """A Sentry that takes connections and never answers delays neither the calls nor, beyond 2 s, the end."""
    program = f"""
        import atexit, time
        from app.adapters.clock import SystemClock
        from app.adapters.reports import SentrySink
        sink = SentrySink("http://{PUBLIC_KEY}@127.0.0.1:{silent}/42", release="x", clock=SystemClock())
        began = time.monotonic()
        for _ in range(10):
            sink.broke("web.broke", ValueError())
        told = time.monotonic()
        sink.close()
        print(told - began, time.monotonic() - told)
    """
    began = time.monotonic()
    printed = subprocess.check_output([sys.executable, "-c", textwrap.dedent(program)], text=True, timeout=20)
    delay_s, close_s = map(float, printed.split())

    assert delay_s < 0.5
    assert close_s < 3
    assert time.monotonic() - began < 15


def test_gateway_reports(make_gateway: Callable[..., Gateway], sentry: Sentry) -> None:
    """With ORGATE_SENTRY_DSN set a gateway reports the calls that OpenRouter fails, without a word of them."""
    gateway = make_gateway(orgate_sentry_dsn=sentry.dsn, openrouter_background_refresh="false")
    token = gateway.token()
    assert 200 == gateway.chat("sandbox/ok", TEXT, token=token).status_code
    assert gateway.chat("sandbox/cut", TEXT, token=token, stream=True).content
    assert 401 == gateway.chat("sandbox/status-401", TEXT, token=token).status_code

    assert all(sentry.arrived.acquire(timeout=10) for _ in range(2))
    assert ["sandbox/cut", "sandbox/status-401"] == [event["tags"]["model"] for event in sentry.events]
    for secret in (TEXT, "CANARY", token, "sk-or-"):
        assert secret.encode() not in sentry.raw


def test_off_by_default(tmp_path: Path) -> None:
    """Without ORGATE_SENTRY_DSN a gateway never loads Sentry's library."""
    program = f"""
        import sys
        from pathlib import Path
        from app.factory import create_app
        from app.settings import load
        given = {{"OPENROUTER_API_KEY": "{KEY}", "ORGATE_STATE_DIR": {str(tmp_path / "state")!r}}}
        create_app(load(given, environment={{}}, working_folder=Path({str(tmp_path)!r})))
        print([name for name in sys.modules if name.partition(".")[0] == "sentry_sdk"])
    """
    printed = subprocess.check_output([sys.executable, "-c", textwrap.dedent(program)], text=True, timeout=60)

    assert "[]" == printed.strip()


def test_extra_is_missing(
    make_gateway: Callable[..., Gateway], sentry: Sentry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the setting but without the extra the start ends and says what to install."""
    monkeypatch.delitem(sys.modules, "app.adapters.reports")
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)

    with pytest.raises(SettingsError, match=r"ORGATE_SENTRY_DSN.*pip install 'orgate\[sentry\]'"):
        make_gateway(orgate_sentry_dsn=sentry.dsn)
