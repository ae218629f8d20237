"""
The gateway for any WSGI server: `application`, with the settings that `orgate serve` would have.

It has the state folder to itself as long as it lives: one process, with as many threads as the server likes.
"""

from __future__ import annotations

import atexit
from contextlib import ExitStack

from app.adapters.logs import configure
from app.adapters.statefiles import private_folder
from app.cli.running import alone
from app.factory import create_app
from app.settings import load

_settings = load()
configure(level=_settings.log_level, namespaces=_settings.debug)
_until_the_end = ExitStack()
atexit.register(_until_the_end.close)
_until_the_end.enter_context(alone(private_folder(_settings.folders.state)))
application = create_app(_settings)
_services = application.extensions["orgate"].services
_until_the_end.callback(_services.stop)
_services.refresher.start()
_services.reconciler.start()
