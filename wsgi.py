"""The gateway for any WSGI server: `application`."""

from __future__ import annotations

from app.factory import create_app

application = create_app()
