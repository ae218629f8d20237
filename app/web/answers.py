"""What is said to an app, and what every answer carries besides."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import field

import flask

from app.core.frozen import frozen
from app.web import auth, door, quotas
from app.web.flow import Flow
from app.web.state import Visit, visit

UNGATHERED = ("X-Accel-Buffering", "no")
"""Proxies that stand between, such as nginx in front of a container, must not gather a stream's events either."""


@frozen
class Answer:
    """An answer before it is Flask's or WSGI's."""

    body: bytes | Flow
    content_type: str = "application/json"
    headers: list[tuple[str, str]] = field(default_factory=list)
    status: int = 200

    def close(self) -> None:
        """It is not given after all."""
        if isinstance(self.body, Flow):
            self.body.close()


def install(app: flask.Flask) -> None:
    """Finish every answer of the application, errors too."""
    app.after_request(_finish)


def in_flask(answer: Answer) -> flask.Response:
    """The answer as a view gives it."""
    return flask.Response(
        answer.body,
        answer.status,
        headers=answer.headers,
        content_type=answer.content_type,
        direct_passthrough=isinstance(answer.body, Flow),
    )


def told(here: Visit, scope: str | None, names: Collection[str]) -> list[tuple[str, str]]:
    """The headers that belong to every answer; `names` are those that this one has already, in small letters."""
    found = [("x-request-id", here.id), ("X-Content-Type-Options", "nosniff"), *quotas.told(here, scope)]
    # An answer that is given again tells the call that it was made for.
    if "x-orgate-call-id" not in names:
        found.append(("x-orgate-call-id", here.id))
    if "cache-control" not in names:
        found.append(("Cache-Control", "no-store"))
    if here.sanitized is not None:
        found.append(("x-orgate-sanitized", here.sanitized))
    if here.agent is not None:
        found.append(("x-orgate-agent", here.agent))
    if here.overruled:
        found.append(("x-orgate-agent-overruled", ", ".join(here.overruled)))
    return found + door.told_to_page(here, names, found)


def _finish(response: flask.Response) -> flask.Response:
    names = {name.lower() for name, _ in response.headers}
    try:
        response.headers.extend(told(visit(), auth.scope_of(flask.request.endpoint), names))
    except BaseException:
        # Flask answers with an error instead, and forgets this one.
        response.close()
        raise
    return response
