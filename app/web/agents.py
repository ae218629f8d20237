"""GET /agents: the presets that can be called as models; and the agent of the call at hand."""

from __future__ import annotations

import flask

from app.core.agents import views
from app.core.agents.styles import Preset
from app.core.errors import Json
from app.core.openapi import Told
from app.core.shapes import dump
from app.web import quotas
from app.web.state import Visit, services
from app.web.told import json_of, tells

bp = flask.Blueprint("agents", __name__)


@bp.get("/agents")
@tells(Told({200: json_of("The agents in force.", {"data": [views.SHAPE]})}))
def agents() -> flask.Response:
    """Every agent in force; their prompts are the owner's and are not told."""
    quotas.take("models")
    shelf = services().agents.shelf()
    listed = [views.shape(agent, shelf.doubts.get(id, ())) for id, agent in shelf.agents.items()]
    return flask.Response(dump({"data": listed}), content_type="application/json")


def preset_of(here: Visit, endpoint: str, body: dict[str, Json], model: str, fallbacks: tuple[str, ...]) -> Preset:
    """The request with the agent that it calls, if it calls one (Agents.preset); the answer will name the agent."""
    preset = here.services.agents.preset(endpoint, body, model, fallbacks)
    here.agent, here.overruled = preset.agent, preset.overruled
    return preset
