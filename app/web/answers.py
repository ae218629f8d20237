"""What every answer carries, whatever it says."""

from __future__ import annotations

import flask

from app.web import door, quotas
from app.web.state import visit


def install(app: flask.Flask) -> None:
    """Finish every answer of the application, errors too."""
    app.after_request(_finish)


def _finish(response: flask.Response) -> flask.Response:
    here, headers = visit(), response.headers
    told = [("x-request-id", here.id), ("X-Content-Type-Options", "nosniff"), *quotas.told(here.grant, flask.request)]
    # An answer that is given again tells the call that it was made for.
    usual = (("x-orgate-call-id", here.id), ("Cache-Control", "no-store"))
    told += [(name, value) for name, value in usual if name not in headers]
    if here.agent is not None:
        told.append(("x-orgate-agent", here.agent))
    if here.overruled:
        told.append(("x-orgate-agent-overruled", ", ".join(here.overruled)))
    headers.extend(told)
    door.allow_origin(response)
    return response
