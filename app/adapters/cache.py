"""The Cache port on Flask-Caching."""

from __future__ import annotations

import flask
from flask_caching import Cache as FlaskCache


class FlaskCachingStore:
    """
    Keeps bytes in the cache of a Flask app; what is fresh is decided elsewhere, to the millisecond.

    Values are plain bytes in every backend: nothing that is read back is ever unpickled into an object.
    """

    def __init__(self, app: flask.Flask, config: dict[str, object], *, is_shared: bool) -> None:
        """`is_shared` says whether other processes use the backend that `config` names."""
        self._cache = FlaskCache(app, with_jinja2_ext=False, config=config)
        self._app = app
        self.is_shared = is_shared

    def get(self, name: str) -> bytes | None:
        """What was last put under this name."""
        with self._app.app_context():
            value = self._cache.get(name)
        return value if isinstance(value, bytes) else None

    def put(self, name: str, value: bytes) -> None:
        """Keep these bytes until they are replaced."""
        with self._app.app_context():
            self._cache.set(name, value, timeout=0)
