"""nginx as a bare reverse proxy: about the least that a program between can cost."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.bench.candidates.base import Place, Service
from tests.bench.processes import free_port, start

_CONFIGURATION = """
daemon off; worker_processes 1; pid {folder}/pid; error_log stderr error;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream openrouter {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096; keepalive_requests 1000000;
    location / {{
      proxy_pass http://openrouter; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    }}
  }}
}}
"""


class Nginx:
    """One worker, connections kept, nothing buffered, no log."""

    name = "nginx"

    def missing(self, prefix: Path) -> str | None:
        """Found on the PATH, or unpacked below the prefix."""
        return None if _program(prefix) else "apt install nginx"

    def start(self, place: Place) -> Service:
        """Its configuration is written for the occasion."""
        port = free_port()
        place.folder.mkdir(parents=True, exist_ok=True)
        configuration = place.folder / "nginx.conf"
        configuration.write_text(_CONFIGURATION.format(folder=place.folder, upstream=place.upstream, port=port))
        program = start([_program(place.prefix) or "nginx", "-p", place.folder, "-c", configuration], place.folder)
        return Service(port, "/api/v1/chat/completions", program=program)

    def installed(self, prefix: Path) -> Path | None:
        """It is part of the system."""
        return None


def _program(prefix: Path) -> str | None:
    unpacked = prefix / "nginx/usr/sbin/nginx"
    return str(unpacked) if unpacked.exists() else shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
