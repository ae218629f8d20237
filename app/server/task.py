"""A request's answer by WSGI (PEP 3333), in few steps: every call passes here."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from waitress.proxy_headers import PROXY_HEADERS
from waitress.task import WSGITask, hop_by_hop
from waitress.utilities import build_http_date

if TYPE_CHECKING:
    from app.server.channel import Channel

_log = logging.getLogger("orgate.server")

_WAITRESS_TELLS = frozenset({"date", "server"})
"""Headers that have waitress tell something else when an application gives them."""

_KINDS = 64
"""The answers of an application differ little in what their headers are called."""

_OF_THE_BODY = frozenset({"CONTENT_LENGTH", "CONTENT_TYPE"})

_http_date = lru_cache(2)(build_http_date)


@lru_cache(_KINDS)
def _spelled(names: tuple[str, ...]) -> Mapping[str, str]:
    """The names of headers by the same in small letters; raises AssertionError for one that is the server's to say."""
    spelled = {name.lower(): name for name in names}
    if not spelled.keys().isdisjoint(hop_by_hop):
        raise AssertionError(f"{', '.join(sorted(spelled.keys() & hop_by_hop))}: not for an application to say.")
    return spelled


class Detached(BaseException):
    """This thread has nothing more to do for the request: the pump carries what is left of the answer."""


class Task(WSGITask):
    """
    A request's answer, and where the pump brings what it carries of it.

    It is waitress's, but for the way it asks the application and words the head, one header after another: that was a
    tenth of the interpreter's steps in a call. An application that breaks WSGI's rules is told so here as well.
    """

    channel: Channel
    _is_carried = False
    _failure: Exception | None = None
    _names: Mapping[str, str] = {}
    """What the answer's headers are called, by the same in small letters."""
    _head = ""
    """The status and the headers as they are sent, but for what the server adds."""

    def execute(self) -> None:
        """Answer, or leave the answer to the pump; when it comes back from there, see how that ended."""
        if self._failure is not None:
            raise self._failure
        if self._is_carried:
            return
        answer = self.channel.application(self.get_environment(), self.start_response)
        try:
            self._give(answer)
        finally:
            # Who carries it on closes it.
            if not self._is_carried and hasattr(answer, "close"):
                answer.close()

    def _give(self, answer: Iterable[bytes]) -> None:
        can_detach = hasattr(answer, "detach")
        for part in answer:
            if self.content_length is None and isinstance(answer, (list, tuple)) and len(answer) == 1:
                self.content_length = len(part)
            if part:
                self.write(part)
            if can_detach:
                self._detach(answer)
        length = self.content_length
        if length is not None and self.content_bytes_written != length and not self._is_head:
            # Who waits for the rest must see that there is none.
            self.set_close_on_finish()
            _log.warning("The application announced %s bytes and gave %s.", length, self.content_bytes_written)

    def _detach(self, flow: Any) -> None:  # a Flow that is iterated
        """Leave the rest to the pump if that can be."""
        source = flow.detach()
        if source is None:
            return
        self._is_carried = True
        try:
            self.channel.leave_to_pump(self, flow, source)
        except BaseException:
            flow.close()
            raise
        raise Detached

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        """WSGI's: begin the answer; what this gives sends parts of it. Raises what is wrong with it."""
        if exc_info:
            if self.wrote_header:
                raise exc_info[1].with_traceback(exc_info[2])
        elif self.complete:
            raise AssertionError("The answer was begun already, and no error explains another beginning.")
        head = "\r\n".join((f"HTTP/1.1 {status}", *map(": ".join, headers)))
        if head.count("\n") != len(headers) or head.count("\r") != len(headers):
            raise ValueError("A line break in the answer's status or in one of its headers.")
        told = dict(headers)
        names = _spelled(tuple(told))
        length = told[names["content-length"]] if "content-length" in names else None
        if length is not None and not (length.isascii() and length.isdecimal()):
            raise ValueError("A Content-Length that is no number.")
        self.content_length = None if length is None else int(length)
        self.status, self.response_headers = status, list(headers)
        self._head, self._names = head, names
        self.complete = True
        return self.write

    def build_response_header(self) -> bytes:
        """
        The answer's head, as the application gave it; after it the connection can be used again.

        waitress spells and sorts each header anew, and closes the connection after every answer in chunks. It still
        does what is unusual here: HTTP/1.0, the last answer of a connection, one without a body.
        """
        if not self._is_usual() or not self._names.keys().isdisjoint(_WAITRESS_TELLS):
            return super().build_response_header()
        framing = ""
        if self.content_length is None:
            self.chunked_response = True
            framing = "Transfer-Encoding: chunked\r\n"
        elif "content-length" not in self._names:
            framing = f"Content-Length: {self.content_length}\r\n"
        return f"{self._head}\r\n{framing}Date: {_http_date(int(self.start_time))}\r\n\r\n".encode("latin-1")

    def _is_usual(self) -> bool:
        asked: Any = self.request  # the stubs know another one
        is_last = self.close_on_finish or asked.headers.get("CONNECTION", "").lower() == "close"
        return self.version == "1.1" and not self._is_head and self.has_body and not is_last

    @property
    def _is_head(self) -> bool:
        asked: Any = self.request
        return bool(asked.command == "HEAD")

    def get_environment(self) -> Any:  # WSGI's own types
        """WSGI's environment, with what the application calls when it has begun and only waits from now on."""
        asked: Any = self.request
        path = asked.path
        return {
            **self.channel.environment,
            "REQUEST_METHOD": asked.command,
            "SERVER_PROTOCOL": f"HTTP/{self.version}",
            "PATH_INFO": "/" + path.lstrip("/") if path.startswith("/") else path,
            "REQUEST_URI": asked.request_uri,
            "QUERY_STRING": asked.query,
            "wsgi.url_scheme": asked.url_scheme,
            "wsgi.input": asked.get_body_stream(),
            # What a proxy says of who asks is nobody's word: there is none that is trusted.
            **{
                name if name in _OF_THE_BODY else f"HTTP_{name}": value
                for name, value in asked.headers.items()
                if name not in PROXY_HEADERS
            },
        }

    def write(self, data: bytes) -> None:
        """Send this part, after the head if that is still to be sent: the two leave together."""
        if self.wrote_header or not data or not self.complete:
            super().write(data)
            return
        head = self.build_response_header()
        self.wrote_header = True
        if len(data) == self.content_length and self.has_body:
            self.content_bytes_written = len(data)
            self.channel.write_soon(head + data)
            return
        parts = self.channel.gather()
        try:
            super().write(data)
        finally:
            self.channel.gather_no_more()
        self.channel.write_soon(head + b"".join(parts))

    def is_full(self) -> bool:
        """So much waits for the app that it is given no more."""
        return self.channel.is_full()

    def end(self, failure: Exception | None) -> None:
        """The pump has carried all that there is."""
        self._failure = failure
        self.channel.come_back(self)
