"""The lane of calls: what every program asks most passes ahead of Flask's dispatch, by the same door."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from werkzeug.http import HTTP_STATUS_CODES

from app.core.errors import GatewayError
from app.core.styles import STYLES, Style
from app.web import answers, auth, door, errors, proxy
from app.web.answers import Answer
from app.web.state import Visit, Web

_SCOPE = "chat"

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]
"""A WSGI application, with WSGI's own types."""


class CallLane:
    """
    A WSGI application that answers calls itself and leaves every other request to the next one.

    What it answers is what the views of `web/proxy.py` would: it asks the same functions, without Flask's contexts and
    routing around them, which took a fifth of a call's processor time.
    """

    def __init__(self, application: WsgiApp, web: Web, mounts: Iterable[str]) -> None:
        """`mounts` are the addresses below which calls are taken."""
        self.next = application
        """What answers everything else, and could answer calls too."""
        self._web = web
        self._styles = {mount + path: style for mount in mounts for path, style in STYLES.items()}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request."""
        style = self._styles.get(environ.get("PATH_INFO", "")) if environ["REQUEST_METHOD"] == "POST" else None
        if style is None:
            return self.next(environ, start_response)
        here = Visit(environ, self._web)
        head = here.begin = _Head(here, start_response)
        answer = _answer(style, here)
        # It knows the visit.
        here.begin = None
        if head.is_out:
            return _rest(answer)
        try:
            told = answers.told(here, _SCOPE, set(map(str.lower, dict(answer.headers))))
        except Exception as error:
            answer.close()
            answer, told = errors.told_of(error, here), []
        headers = [("Content-Type", answer.content_type), *answer.headers, *told]
        if isinstance(answer.body, bytes):
            headers.append(("Content-Length", str(len(answer.body))))
        try:
            start_response(_status_line(answer.status), headers)
        except BaseException:
            # A server lets go only of what it was given.
            answer.close()
            raise
        return (answer.body,) if isinstance(answer.body, bytes) else answer.body


class _Head:
    """Sends the head of a stream's answer before there is any of it (WSGI's `write`, PEP 3333)."""

    def __init__(self, here: Visit, start_response: Any) -> None:
        self._here = here
        self._start_response = start_response
        self.is_out = False

    def __call__(self, content_type: str, headers: Mapping[str, str]) -> Callable[[bytes], None]:
        """Begin the answer; what this gives sends parts of it."""
        told = answers.told(self._here, _SCOPE, {name.lower() for name in headers})
        whole = [("Content-Type", content_type), *headers.items(), answers.UNGATHERED, *told]
        self.is_out = True
        write: Callable[[bytes], None] = self._start_response(_status_line(200), whole)
        return write


def _rest(answer: Answer) -> Iterable[bytes]:
    """What follows the head that is out; what cannot follow it cuts the answer off, so that nobody takes it for one."""
    if isinstance(answer.body, bytes):
        raise RuntimeError(f"The answer was begun, and then came {answer.status}.")
    return answer.body


def _answer(style: Style, here: Visit) -> Answer:
    try:
        door.check_sender(here)
        here.grant = auth.identify(here)
        auth.authorise(_SCOPE, here.grant)
        door.read_body(here)
        return proxy.answered(style, here)
    except Exception as error:
        answer = errors.told_of(error, here)
        if isinstance(error, GatewayError):
            error.forget()
        return answer


@lru_cache
def _status_line(status: int) -> str:
    return f"{status} {HTTP_STATUS_CODES.get(status, 'Unknown').upper()}"
