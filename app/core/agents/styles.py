"""An agent under a caller's request, in every API style."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from app.core import preferences
from app.core.agents import tools
from app.core.agents.agent import PREFIX, Agent
from app.core.errors import BadRequest, Json
from app.core.frozen import frozen

_Body = dict[str, Json]
_GAP = "\n\n"
_CHAINS = ("models", "route", "fallbacks")
"""The caller's own ways to name a chain."""


@frozen
class Preset:
    """A request as it is to be carried out; `body` names the model that is asked first."""

    body: _Body
    model: str
    fallbacks: tuple[str, ...]
    agent: str | None = None
    """The agent's id; None when none was called."""
    own: tuple[str, ...] = ()
    """The agent's models: a token that may use the agent may use these through it."""
    overruled: tuple[str, ...] = ()
    """The caller's fields that a locked field of the agent has put aside."""

    @property
    def lends(self) -> tuple[str, tuple[str, ...]]:
        """What `policy.check_models` has to know: the agent's name and its models."""
        return ("" if self.agent is None else PREFIX + self.agent), self.own


@frozen
class _Style:
    """Where an API style keeps what an agent sets."""

    prompt: Callable[[_Body, Agent], _Body] | None
    """Puts the agent's system prompt in; None where a style has no place for one."""
    limits: tuple[str, ...]
    """The names of the longest answer in tokens, the agent's own first."""


def apply(agent: Agent, endpoint: str, body: _Body, fallbacks: tuple[str, ...]) -> Preset:
    """
    The agent's preset under the fields of a caller who asked for it; raises BadRequest.

    The caller's fields win, except those that the agent has locked, by default its chain and its system prompt: a
    locked field is the agent's even where the agent has none. Prompts follow each other, the agent's first; tools add
    up; provider preferences are taken one by one.
    """
    style = _STYLES[endpoint]
    changed = {name: value for name, value in body.items() if name not in _CHAINS}
    overruled: list[str] = []
    if "model" in agent.locked and fallbacks:
        overruled.append("models")
    mine = "model" in agent.locked or not fallbacks
    model, *rest = agent.models if mine else (agent.models[0], *fallbacks)
    changed["model"] = model
    if style.limits:
        changed = _plain_field(agent, "temperature", agent.temperature, ("temperature",), changed, overruled)
        changed = _plain_field(agent, "max_tokens", agent.max_tokens, style.limits, changed, overruled)
        changed = _tools(agent, endpoint, changed, overruled)
    if style.prompt is not None and agent.system_prompt is not None:
        changed = style.prompt(changed, agent)
    changed = _provider(agent, changed, overruled)
    return Preset(changed, model, tuple(rest), agent.id, agent.models, tuple(overruled))


def _plain_field(
    agent: Agent, field: str, value: Json, names: tuple[str, ...], body: _Body, overruled: list[str]
) -> _Body:
    given = [name for name in names if body.get(name) is not None]
    if given and field not in agent.locked:
        return body
    if field in agent.locked:
        overruled += given
        body = {name: held for name, held in body.items() if name not in names}
    return body if value is None else {**body, names[0]: value}


def _tools(agent: Agent, endpoint: str, body: _Body, overruled: list[str]) -> _Body:
    given = body.get("tools")
    if "tools" in agent.locked:
        overruled += [name for name in ("tools", "tool_choice") if body.get(name) is not None]
        body = {name: held for name, held in body.items() if name not in ("tools", "tool_choice")}
        given = None
    # An empty list is a wish too: no tools. What is no list is OpenRouter's to refuse.
    if not agent.tools or (given is not None and not (isinstance(given, list) and given)):
        return body
    for tool in agent.tools:
        if tool["type"].removeprefix(tools.PREFIX) not in tools.BY_STYLE.get(endpoint, ()):
            raise _not_here(agent, tool["type"], endpoint)
    return {**body, "tools": tools.merged(agent.tools, given or [])}


def _not_here(agent: Agent, tool: str, endpoint: str) -> BadRequest:
    places = ", ".join(tools.styles_of(tool))
    return BadRequest(
        f"{agent.model} uses the tool {tool}, which OpenRouter does not run for {endpoint}, only for {places}. Call "
        "the agent there, or take the tool out of its file.",
        code="agent_does_not_fit",
        param="model",
    )


def _provider(agent: Agent, body: _Body, overruled: list[str]) -> _Body:
    given = body.get("provider")
    if "provider_preferences" in agent.locked:
        overruled += ["provider"] if given is not None else []
        body = {name: held for name, held in body.items() if name != "provider"}
        given = None
    if not agent.preferences:
        return body
    wishes: Mapping[str, Json] = preferences.translate(given) or given or {}
    own = {name: value for name, value in wishes.items() if value is not None}
    return {**body, "provider": {**agent.preferences, **own}}


def _chat(body: _Body, agent: Agent) -> _Body:
    messages = body.get("messages")
    if not isinstance(messages, list):
        return _completion(body, agent)
    if "system_prompt" not in agent.locked and any(_is_system(message) for message in messages):
        return body
    return {**body, "messages": [{"role": "system", "content": agent.system_prompt}, *messages]}


def _is_system(message: Json) -> bool:
    return isinstance(message, dict) and message.get("role") in ("system", "developer")


def _messages(body: _Body, agent: Agent) -> _Body:
    given = body.get("system")
    if isinstance(given, list) and given:
        if "system_prompt" not in agent.locked:
            return body
        return {**body, "system": [{"type": "text", "text": agent.system_prompt}, *given]}
    return _joined(body, "system", agent)


def _responses(body: _Body, agent: Agent) -> _Body:
    return _joined(body, "instructions", agent)


def _joined(body: _Body, name: str, agent: Agent) -> _Body:
    given = body.get(name) or ""
    if not isinstance(given, str):
        raise BadRequest(f"{name} must be text, for {agent.model} has a system prompt to put before it.", param=name)
    if given and "system_prompt" not in agent.locked:
        return body
    return {**body, name: f"{agent.system_prompt}{_GAP}{given}" if given else agent.system_prompt}


def _completion(body: _Body, agent: Agent) -> _Body:
    prompt = body.get("prompt")
    if isinstance(prompt, str):
        return {**body, "prompt": f"{agent.system_prompt}{_GAP}{prompt}"}
    if isinstance(prompt, list) and all(isinstance(one, str) for one in prompt):
        return {**body, "prompt": [f"{agent.system_prompt}{_GAP}{one}" for one in prompt]}
    raise BadRequest(
        f"{agent.model} has a system prompt, which can only be put before a prompt that is text. Send the prompt as "
        "text, or call /chat/completions.",
        code="agent_does_not_fit",
        param="prompt",
    )


_STYLES: Mapping[str, _Style] = {
    "/chat/completions": _Style(_chat, ("max_tokens", "max_completion_tokens")),
    "/messages": _Style(_messages, ("max_tokens",)),
    "/responses": _Style(_responses, ("max_output_tokens",)),
    "/completions": _Style(_completion, ("max_tokens",)),
    "/embeddings": _Style(None, ()),
}
"""The path of each API style; embeddings take the model and where it may be run, and nothing else."""

STYLES = tuple(_STYLES)
