from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.upstream.lab import Lab
from tests.lab.upstream.rows import SHAPES
from tests.lab.upstream.wire import full_backlog, raw_listener
from tests.tlspeer import TlsPeer
from tests.waiting import eventually

_YEAR = {"good": ("250101000000Z", "491231000000Z"), "expired": ("250101000000Z", "250201000000Z")}


def _no_answer(lab: Lab, shape: str) -> tuple[tuple[int, str, str, str], list[str]]:
    """What an app is told of a call in this shape, and the models tried; nothing was sent and nothing is left."""
    models = ("lab/first", "lab/second") if shape.startswith("chain") else ("lab/first",)

    seen = lab.ask(*models, stream=shape.endswith("streamed"))

    assert [] == [tried for tried in lab.story(seen).attempts if tried["sent"]]
    lab.check(seen, *models)
    return seen.refusal, lab.told(seen)


def _three_each(shape: str) -> list[str]:
    return ["lab/first"] * 3 + ["lab/second"] * (3 if shape.startswith("chain") else 0)


@pytest.mark.parametrize("shape", SHAPES, ids=[f"U1-{shape}" for shape in SHAPES])
def test_unknown_name(make_lab: Callable[..., Lab], shape: str) -> None:
    """A name that does not resolve is tried again, for nothing was sent, and then told."""
    lab = make_lab(openrouter_base_url="https://no-such-host.invalid/api/v1")

    refusal, told = _no_answer(lab, shape)

    assert (502, "model_error", "upstream_unreachable", "false") == refusal
    assert _three_each(shape) == told


@pytest.mark.parametrize("shape", SHAPES, ids=[f"U2-{shape}" for shape in SHAPES])
def test_refused(make_lab: Callable[..., Lab], shape: str) -> None:
    """A refused connection is tried again and then told."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    lab = make_lab(openrouter_base_url=f"http://127.0.0.1:{port}/api/v1")

    refusal, told = _no_answer(lab, shape)

    assert (502, "model_error", "upstream_unreachable", "false") == refusal
    assert _three_each(shape) == told


@pytest.mark.parametrize("shape", ["plain", "chain-streamed"], ids=["U3-plain", "U3-chain-streamed"])
def test_connect_timeout(make_lab: Callable[..., Lab], shape: str) -> None:
    """A connection that is not taken within its time was never sent; it is tried again and then told."""
    with full_backlog() as port:
        lab = make_lab(openrouter_base_url=f"http://127.0.0.1:{port}/api/v1", orgate_timeout_connect="0.2")

        refusal, told = _no_answer(lab, shape)

    assert (504, "timeout_error", "upstream_unreachable", "false") == refusal
    assert _three_each(shape) == told


@pytest.mark.parametrize("shape", ["plain", "chain-streamed"], ids=["U4-plain", "U4-chain-streamed"])
def test_stalled_handshake(make_lab: Callable[..., Lab], shape: str) -> None:
    """A TLS handshake that stalls was never sent, whatever the library calls it; each try closes its connection."""
    closed = threading.Semaphore(0)

    def talk(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass
        closed.release()

    with raw_listener(talk) as port:
        lab = make_lab(openrouter_base_url=f"https://127.0.0.1:{port}/api/v1", orgate_timeout_connect="0.2")
        refusal, told = _no_answer(lab, shape)
        ends = [closed.acquire(timeout=5) for _ in told]

    assert (504, "timeout_error", "upstream_unreachable", "false") == refusal
    assert _three_each(shape) == told
    assert all(ends)


def _certificate(folder: Path, name: str, dates: str) -> tuple[Path, Path]:
    """A self-signed certificate for this name, and its key."""
    key, request, certificate = folder / "key.pem", folder / "request.pem", folder / "certificate.pem"
    (folder / "index.txt").touch()
    (folder / "ca.cnf").write_text(
        "[ca]\ndefault_ca=own\n[own]\ndatabase=index.txt\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\n"
        "policy=any\nx509_extensions=san\n[any]\ncommonName=supplied\n"
        f"[san]\nsubjectAltName={name}\nbasicConstraints=critical,CA:TRUE\n"
    )
    start, end = _YEAR[dates]
    for command in (
        f"req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=lab -keyout {key} -out {request}",
        f"ca -batch -selfsign -config ca.cnf -keyfile {key} -in {request} -out {certificate} -notext"
        f" -startdate {start} -enddate {end}",
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True, timeout=30)
    return certificate, key


BAD = {
    "expired": ("IP:127.0.0.1", "expired", True),
    "unknown-authority": ("IP:127.0.0.1", "good", False),
    "wrong-host": ("DNS:elsewhere.example", "good", True),
}


@pytest.mark.parametrize("shape", ["plain", "chain-streamed"])
@pytest.mark.parametrize("why", BAD, ids=[f"U5-{why}" for why in BAD])
def test_bad_certificate(make_lab: Callable[..., Lab], tmp_path: Path, why: str, shape: str) -> None:
    """A certificate that cannot be trusted is told once; the key is not sent, and nothing is tried again."""
    name, dates, trusted = BAD[why]
    certificate, key = _certificate(tmp_path, name, dates)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    received: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            received.append(secure.recv(65536))

    trust = {"orgate_ca_bundle": str(certificate)} if trusted else {}
    with raw_listener(talk) as port:
        lab = make_lab(openrouter_base_url=f"https://127.0.0.1:{port}/api/v1", **trust)
        refusal, told = _no_answer(lab, shape)

    assert (502, "model_error", "upstream_tls_error", "false") == refusal
    assert ["lab/first"] == told
    assert b"" == b"".join(received)


def test_good_certificate(make_lab: Callable[..., Lab], tmp_path: Path) -> None:
    """With a certificate that can be trusted the call arrives: it is the certificate that the other test judges."""
    certificate, key = _certificate(tmp_path, "IP:127.0.0.1", "good")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    received: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            received.append(secure.recv(65536))

    with raw_listener(talk) as port:
        lab = make_lab(openrouter_base_url=f"https://127.0.0.1:{port}/api/v1", orgate_ca_bundle=str(certificate))
        seen = lab.ask("lab/first")

    assert (504, "timeout_error", "outcome_unknown", "false") == seen.refusal
    # One may be opened ahead of need beside, on which nothing is asked.
    (asked,) = filter(None, received)
    assert asked.startswith(b"POST /api/v1/chat/completions")


def test_connection_ahead_of_need(make_lab: Callable[..., Lab], tmp_path: Path) -> None:
    """When OpenRouter has closed what was idle, the gateway connects again before it is called."""
    certificate, key = _certificate(tmp_path, "IP:127.0.0.1", "good")
    peer = TlsPeer(certificate, key, idle_s=60)
    lab = make_lab(openrouter_base_url=f"{peer.url}/api/v1", orgate_ca_bundle=str(certificate))
    lab.ask("lab/first")
    peer.hang_up()
    lost, asked = peer.shook_hands, len(peer.asked)

    eventually(lambda: peer.shook_hands > lost and peer.open)

    assert asked == len(peer.asked)
    peer.close()
