"""An OpenRouter stand-in: offline, free, and it misbehaves on request."""

from __future__ import annotations

from app.sandbox.server import Sandbox

__all__ = ["Sandbox"]
