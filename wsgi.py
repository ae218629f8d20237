"""The gateway for any WSGI server: `application`, with the settings that `orgate serve` would have."""

from __future__ import annotations

from app.adapters.logs import configure
from app.factory import create_app
from app.settings import load

_settings = load()
configure(level=_settings.log_level, namespaces=_settings.debug)
application = create_app(_settings)
application.extensions["orgate"][0].refresher.start()
