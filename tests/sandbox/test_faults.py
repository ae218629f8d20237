from __future__ import annotations

import gzip
import http.client
import json
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest
import requests

from app.sandbox import Sandbox, faults, recorded
from tests.sandbox.conftest import KEY
from tests.sandbox.sse import content, events
from tests.sandbox.test_refusals import SAMPLES

ENDLESS = ("silence", "headers-then-silence", "stall", "stall-comments", "comments", "no-done-open")
BOTH = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


def raw(sandbox: Sandbox, model: str, stream: bool = True) -> socket.socket:
    """A connection on which a chat request has been sent."""
    body = json.dumps({"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hi"}]}).encode()
    head = f"POST /api/v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
    opened = socket.create_connection((sandbox.host, sandbox.port), timeout=5)
    opened.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return opened


def read_until(opened: socket.socket, mark: bytes) -> bytes:
    """Everything up to a mark."""
    data = b""
    while mark not in data:
        more = opened.recv(65536)
        if not more:
            break
        data += more
    return data


@pytest.mark.parametrize("name", recorded.SAMPLES)
def test_recordings_are_exact(ask, name):
    """
    A recorded answer comes back byte for byte.
    """
    expected = (SAMPLES / recorded.SAMPLES[name]).read_bytes()

    assert expected == ask(f"sandbox/recorded-{name}", stream=True).content


def test_recordings_are_charged_as_they_were(ask, sandbox):
    """
    A recorded answer costs what its usage says.
    """
    ask("sandbox/recorded-chat_stream")

    assert "0.00006" == sandbox.bill()["total_cost"]


def test_every_fault_is_listed(sandbox, session):
    """
    Each fault is a model object of the catalogue's shape and a line of the listing.
    """
    models = session.get(f"{sandbox.url}/models").json()["data"]
    listed = {each["id"]: each for each in models if each["id"].startswith("sandbox/")}

    assert {f"sandbox/{name}" for name in faults.FAULTS} == set(listed)
    assert len(faults.FAULTS) == len(faults.listing())
    assert set(models[1]) - {"reasoning", "alias_target"} <= set(listed["sandbox/ok"])


@BOTH
@pytest.mark.parametrize("name", ENDLESS)
def test_endless_faults_notice_the_client_leaving(sandbox, name, stream):
    """
    A fault without end is over at once when the client closes, and the journal says when.
    """
    opened = raw(sandbox, f"sandbox/{name}", stream)
    assert sandbox.wait_until(lambda log: bool(log) and log[-1]["body_keys"] != [])
    closed = time.monotonic_ns()
    opened.close()
    noticed = sandbox.wait_until(lambda log: log[-1]["ended"] == "client_closed", 1)
    late_ns = sandbox.log()[-1]["client_closed_mono_ns"] - closed

    assert noticed
    assert late_ns < 100_000_000


def test_a_cancelled_stream_is_charged_for_what_was_produced(sandbox):
    """
    Leaving a stream after three words costs the prompt and three words.
    """
    with raw(sandbox, "sandbox/stall-3") as opened:
        read_until(opened, b'"content":" ')
        assert sandbox.wait_until(lambda log: log[-1]["events_sent"] == 3)
    assert sandbox.wait_until(lambda log: log[-1]["ended"] == "client_closed")
    assert sandbox.wait_until(lambda _: bool(sandbox.bill()["generations"]))
    (row,) = sandbox.bill()["generations"]

    assert row["cancelled"]
    assert 0 < row["completion_tokens"] < 10


@pytest.mark.parametrize("name", ["reset", "reset-mid-2"])
def test_resets(sandbox, name):
    """
    A reset is a TCP reset, not an end.
    """
    with raw(sandbox, f"sandbox/{name}") as opened, pytest.raises(ConnectionResetError):
        read_until(opened, b"never")
    assert "reset" == sandbox.log()[-1]["ended"]


@BOTH
def test_cuts(ask, sandbox, stream):
    """
    A cut body lacks its terminator; a clean cut has it, but neither finish reason nor end mark.
    """
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        ask("sandbox/cut-2", stream=stream)
    clean = ask("sandbox/cut-clean-2", stream=stream).content

    assert "cut" == sandbox.log(0)[0]["ended"]
    assert b"[DONE]" not in clean
    assert (2 if stream else 0) == len(events(clean))


@BOTH
def test_errors_inside_a_200(ask, sandbox, stream):
    """
    Errors inside an answer are where the documentation puts them, and cost nothing.
    """
    whole = ask("sandbox/error-in-200", stream=stream)
    choice = ask("sandbox/choice-error-2", stream=stream)
    late = ask("sandbox/error-mid-2", stream=stream)
    last = [events(each.content)[-1] if stream else each.json() for each in (whole, choice, late)]

    assert 502 == last[0]["error"]["code"]
    assert 502 == last[1]["choices"][0]["error"]["code"]
    assert (429, "error") == (last[2]["error"]["code"], last[2]["choices"][0]["finish_reason"])
    assert "0" == sandbox.bill()["total_cost"]


def test_usage_faults(ask, sandbox):
    """
    A usage that is absent, double or absurd is charged once and truly.
    """
    honest = events(ask("sandbox/ok", stream=True).content)[-1]["usage"]["cost"]
    double = [each for each in events(ask("sandbox/duplicate-usage", stream=True).content) if "usage" in each]
    absent = [each for each in events(ask("sandbox/no-usage", stream=True).content) if "usage" in each]
    absurd = ask("sandbox/absurd-usage").json()["usage"]["cost"]

    assert (2, 0, -1) == (len(double), len(absent), absurd)
    assert 4 == len(sandbox.bill()["generations"])
    assert all(float(each["cost"]) < honest * 1.5 for each in sandbox.bill()["generations"])


def test_odd_bytes(ask, sandbox):
    """
    CRLF, split characters, a missing end mark and data after it look as their names say.
    """
    assert ask("sandbox/crlf", stream=True).content.endswith(b"data: [DONE]\r\n\r\n")
    assert "🙂" in content(ask("sandbox/utf8-split", stream=True).content)
    assert b"[DONE]" not in ask("sandbox/no-done", stream=True).content
    assert b"after the end" in ask("sandbox/after-done", stream=True).content.partition(b"[DONE]")[2]
    assert 1_000_000 < max(map(len, ask("sandbox/big-event", stream=True).content.splitlines()))
    assert 1000 == len(events(ask("sandbox/long-1000", stream=True).content)) - 2
    assert "Hello there" == ask("sandbox/echo").json()["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    ("name", "status"),
    [("status-529", 529), ("502-html", 502), ("204", 204), ("redirect-302", 302), ("garbage", 200), ("empty", 200)],
)
def test_statuses(ask, sandbox, name, status):
    """
    Statuses come as asked and are free.
    """
    assert status == ask(f"sandbox/{name}").status_code
    assert "0" == sandbox.bill()["total_cost"]


def test_lies_about_the_body(ask):
    """
    Headers that contradict the body break a client that believes them.
    """
    with pytest.raises(requests.exceptions.ContentDecodingError):
        ask("sandbox/gzip-lie")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        ask("sandbox/short-length")
    assert "application/json" == ask("sandbox/wrong-type", stream=True).headers["Content-Type"]


def test_delays(ask, sandbox):
    """
    The head of a delayed answer comes no sooner than asked for, and a drip has twenty events.
    """
    started = time.monotonic()
    ask("sandbox/delay-100")
    took = time.monotonic() - started
    ask("sandbox/slow-headers-1")

    assert 0.1 <= took < 1
    assert 22 == len(events(ask("sandbox/drip-5", stream=True).content))


def test_early_hints(sandbox):
    """
    An interim 103 comes before the real head.
    """
    with raw(sandbox, "sandbox/early-hints") as opened:
        data = read_until(opened, b"HTTP/1.1 200")

    assert data.startswith(b"HTTP/1.1 103 Early Hints\r\n")
    assert b"\r\n\r\nHTTP/1.1 200 OK\r\n" in data


def test_generation_comes_late(ask, sandbox, session):
    """
    `/generation` is 404 for a moment and then tells what the answer told.
    """
    made = ask("openai/gpt-4o-mini").json()
    early = session.get(f"{sandbox.url}/generation", params={"id": made["id"]})
    sandbox.account(generation_delay_ms=0)
    late = session.get(f"{sandbox.url}/generation", params={"id": made["id"]}).json()["data"]

    assert 404 == early.status_code
    assert made["usage"]["cost"] == late["total_cost"]
    assert made["usage"]["completion_tokens"] == late["native_tokens_completion"]


def test_connections_are_kept(sandbox):
    """
    Plain, streamed and refused requests share one connection, and the log proves it.
    """
    line = http.client.HTTPConnection(sandbox.host, sandbox.port, timeout=5)
    for model, stream in (("sandbox/ok", False), ("sandbox/ok", True), ("sandbox/status-503", False)):
        body = json.dumps({"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hi"}]})
        line.request("POST", "/api/v1/chat/completions", body, {"Authorization": f"Bearer {KEY}"})
        line.getresponse().read()
    line.close()
    log = sandbox.log()

    assert 1 == len({each["connection"] for each in log})
    assert ["answered"] * 3 == [each["ended"] for each in log]
    assert "Bearer sk-or-…1234" == log[0]["headers"]["authorization"]
    assert ["messages", "model", "stream"] == log[0]["body_keys"]


def test_control(sandbox, session, ask):
    """
    Log, bill, account and reset are told over HTTP, outside OpenRouter's paths.
    """
    ask()
    log = session.get(f"{sandbox.origin}/_sandbox/log").json()["requests"]
    bill = session.get(f"{sandbox.origin}/_sandbox/bill").json()
    changed = session.post(f"{sandbox.origin}/_sandbox/account", json={"total_credits": 3, "credits": "zero"}).json()
    wrong = session.post(f"{sandbox.origin}/_sandbox/account", json={"credits": "maybe"})
    session.post(f"{sandbox.origin}/_sandbox/reset")

    assert ["/api/v1/chat/completions"] == [each["path"] for each in log]
    assert log[0]["generation_id"] == bill["generations"][0]["id"]
    assert ("3", "zero") == (changed["total_credits"], changed["credits"])
    assert 400 == wrong.status_code
    assert ([], []) == (sandbox.log(), sandbox.bill()["generations"])


def test_models_are_compressed_on_request(sandbox):
    """
    `/models` is gzip for those who accept it, and the same without.
    """
    line = http.client.HTTPConnection(sandbox.host, sandbox.port, timeout=5)
    line.request("GET", "/api/v1/models", headers={"Accept-Encoding": "gzip"})
    packed = line.getresponse().read()
    line.request("GET", "/api/v1/models")
    open_ = line.getresponse().read()
    line.close()

    assert gzip.decompress(packed) == open_
    assert len(packed) < 150_000


def test_stop_ends_sleeping_answers():
    """
    Stopping takes no longer for answers that would never end, and leaves no thread.
    """
    before = set(threading.enumerate())
    sandbox = Sandbox().start()
    lines = [raw(sandbox, f"sandbox/{name}") for name in ENDLESS]
    assert sandbox.wait_until(lambda log: len(log) == len(lines) and all(each["body_keys"] for each in log))
    started = time.monotonic()
    sandbox.stop()
    took = time.monotonic() - started
    for line in lines:
        line.close()

    assert took < 1
    assert set() == set(threading.enumerate()) - before
    assert {"stopped"} == {each["ended"] for each in sandbox.log()}


def test_three_hundred_streams_at_once():
    """
    Three hundred slow streams are open at the same time and all are told when their clients leave.
    """
    with Sandbox() as sandbox:
        lines = [raw(sandbox, "sandbox/stall-2") for _ in range(300)]
        served = sandbox.wait_until(lambda log: 300 == sum(each["events_sent"] == 2 for each in log), 10)
        for line in lines:
            line.close()
        left = sandbox.wait_until(lambda log: 300 == sum(each["ended"] == "client_closed" for each in log), 5)

    assert served
    assert left


def test_vanishing_clients_leave_no_trace(sandbox, capfd):
    """
    A client that breaks off within its own request prints nothing and is noted.
    """
    with socket.create_connection((sandbox.host, sandbox.port), timeout=5) as opened:
        opened.sendall(b"POST /api/v1/chat/completions HTTP/1.1\r\nContent-Length: 1000\r\n\r\n{")
    closed = sandbox.wait_until(lambda log: [each["ended"] for each in log] == ["client_closed"])

    assert closed
    assert ("", "") == tuple(capfd.readouterr())


def test_url_is_a_base_url(sandbox):
    """
    The URL names the port it listens on.
    """
    assert ("127.0.0.1", sandbox.port, "/api/v1") == (
        urlsplit(sandbox.url).hostname,
        urlsplit(sandbox.url).port,
        urlsplit(sandbox.url).path,
    )
