"""What all requests share: catalogue, account, journal, and the word to stop."""

from __future__ import annotations

import gzip
import threading
from functools import cached_property

from app.sandbox import faults, wire
from app.sandbox.account import Account
from app.sandbox.catalogue import Catalogue, published
from app.sandbox.journal import Journal


class Backend:
    """The state of one sandbox; `interval_s` is the pause between two words of a stream."""

    def __init__(self, interval_s: float) -> None:
        self.interval_s = interval_s
        self.account = Account()
        self.journal = Journal()
        self.stopping = threading.Event()

    @cached_property
    def catalogue(self) -> Catalogue:
        """The published models and the faults."""
        return Catalogue((*published(), *faults.entries()))

    @cached_property
    def embedders(self) -> Catalogue:
        """The documented model for embeddings."""
        return Catalogue(published("embedders.json"))

    @cached_property
    def models_json(self) -> bytes:
        """The whole answer of `GET /models`."""
        return wire.dumps(self.catalogue.page(0, None, ""))

    @cached_property
    def models_gzip(self) -> bytes:
        """The same, compressed."""
        return gzip.compress(self.models_json, 6, mtime=0)
