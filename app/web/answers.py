"""What every answer carries, whatever it says."""

from __future__ import annotations

import flask

from app.web import auth, door, quotas
from app.web.state import visit


def install(app: flask.Flask) -> None:
    """Finish every answer of the application, errors too."""
    app.after_request(_finish)


def _finish(response: flask.Response) -> flask.Response:
    headers = response.headers
    headers["x-request-id"] = visit().id
    # An answer that is given again tells the call that it was made for.
    headers.setdefault("x-orgate-call-id", visit().id)
    headers["X-Content-Type-Options"] = "nosniff"
    headers.setdefault("Cache-Control", "no-store")
    if visit().agent is not None:
        headers["x-orgate-agent"] = visit().agent
    if visit().overruled:
        headers["x-orgate-agent-overruled"] = ", ".join(visit().overruled)
    quotas.tell(response, auth.SCOPE_OF.get(auth.view_of(flask.request.endpoint)))
    door.allow_origin(response)
    return response
