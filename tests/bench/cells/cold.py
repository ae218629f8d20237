"""A short script: a new process each time, with the OpenAI SDK, whose OpenRouter is 40 ms away behind TLS."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import certifi

from tests.bench.candidates.base import KEY, Service
from tests.bench.candidates.orgate import ROOT, serve
from tests.bench.processes import clean_environment, free_port
from tests.bench.runner import Bench
from tests.bench.tls import certificate

_ROUND_TRIP_MS = 40

_SCRIPT = """
import json, sys, time
from openai import OpenAI

base_url, key = sys.argv[1:]
client = OpenAI(base_url=base_url, api_key=key, max_retries=0)
began = time.perf_counter()
client.chat.completions.create(model="fake/d0", messages=[{"role": "user", "content": "Hello"}])
print(json.dumps(time.perf_counter() - began))
"""


def measure(bench: Bench) -> None:
    """The same script through the gateway, which keeps its connection warm, and straight to the far end."""
    if importlib.util.find_spec("openai") is None:
        bench.results.trouble("cold: skipped, the OpenAI SDK is not installed (pip install openai)")
        return
    try:
        signed, secret = certificate(bench.folder("certificate"))
    except FileNotFoundError:
        bench.results.trouble("cold: skipped, openssl is not installed, which makes the certificate")
        return
    far, near = free_port(), free_port()
    terminator: list[str | Path] = [
        sys.executable,
        "-m",
        "tests.bench.tls",
        str(far),
        str(bench.upstream),
        signed,
        secret,
    ]
    bench.run(["env", f"PYTHONPATH={ROOT}", *terminator], "tls", far)
    bench.run([bench.native / "delayproxy", str(near), str(far), str(_ROUND_TRIP_MS)], "delay", near)
    address = f"https://localhost:{near}/api/v1"
    service = serve(bench.place("orgate-cold"), address, ORGATE_CA_BUNDLE=str(signed))
    with bench.serving(service):
        ways = [("direct", address, KEY), ("orgate", f"http://127.0.0.1:{service.port}/v1", _token(service))]
        trust = {"SSL_CERT_FILE": str(_trusted(signed))}
        for _ in range(bench.repeats):
            for candidate, base_url, key in ways:
                _script(bench, candidate, base_url, key, trust)
            # Whoever comes second finds more in the processor's caches.
            ways.reverse()


def _trusted(signed: Path) -> Path:
    """Our certificate beside those that everybody trusts: to read these takes time, whoever is asked afterwards."""
    bundle = signed.with_name("trusted.pem")
    bundle.write_text(certifi.contents() + signed.read_text())
    return bundle


def _script(bench: Bench, candidate: str, base_url: str, key: str, environment: Mapping[str, str]) -> None:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, base_url, key],
        env={**clean_environment(), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    whole = time.perf_counter() - began
    if done.returncode:
        bench.results.trouble(f"cold, {candidate}: {done.stderr.strip().splitlines()[-1]}")
        return
    title = f"new process, OpenAI SDK, {_ROUND_TRIP_MS} ms away with TLS"
    bench.add("cold", f"{title}, the call", "ms", candidate, json.loads(done.stdout) * 1000)
    bench.add("cold", f"{title}, the whole script", "ms", candidate, whole * 1000)


def _token(service: Service) -> str:
    return service.headers[0].rpartition(" ")[2]
