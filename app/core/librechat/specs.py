"""modelSpecs: each preset for a taken endpoint becomes an agent."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from app.core.errors import Json
from app.core.librechat.names import free_id
from app.core.librechat.plan import Plan

_PROMPTS = ("promptPrefix", "system", "instructions")
_LENGTHS = ("max_tokens", "maxTokens", "maxOutputTokens", "max_output_tokens")
_SHOWN = {"endpoint", "endpointType", "model", "modelLabel", "chatGptLabel", "greeting", "title", "iconURL", "spec"}


def read_specs(given: Json, endpoints: Collection[str], plan: Plan) -> None:
    """Add an agent for each preset that uses one of these endpoints."""
    listed = given.get("list") if isinstance(given, dict) else None
    for spec in listed if isinstance(listed, list) else []:
        preset = spec.get("preset") if isinstance(spec, dict) else None
        if isinstance(preset, dict):
            _spec(spec, preset, endpoints, plan)


def _spec(spec: Mapping[str, Json], preset: Mapping[str, Json], endpoints: Collection[str], plan: Plan) -> None:
    name = str(spec.get("name") or spec.get("label") or "agent")[:80]
    if preset.get("endpoint") not in endpoints:
        plan.leave(f"modelSpec {name}", "its endpoint is not OpenRouter's")
        return
    if not isinstance(preset.get("model"), str):
        plan.leave(f"modelSpec {name}", "it names no model")
        return
    fields: dict[str, Json] = {
        "name": str(spec.get("label") or name)[:200],
        "provider": "openrouter",
        "model": preset["model"],
    }
    prompt = next((preset[part] for part in _PROMPTS if isinstance(preset.get(part), str)), "")
    if prompt:
        fields["systemPrompt"] = prompt
    if "{{" in prompt:
        plan.todo.append(f"agent {name}: LibreChat fills in what stands between {{{{ and }}}}, the gateway does not.")
    if isinstance(preset.get("temperature"), (int, float)):
        fields["temperature"] = preset["temperature"]
    length = next((preset[part] for part in _LENGTHS if isinstance(preset.get(part), int)), None)
    if length:
        fields["maxTokens"] = length
    if preset.get("web_search") is True:
        fields["tools"] = ["web_search"]
    rest = [part for part in preset if part not in {*_SHOWN, *_PROMPTS, *_LENGTHS, "temperature", "web_search"}]
    if rest:
        plan.leave(f"modelSpec {name}, {', '.join(map(str, rest))}", "an agent's file has no field for it")
    plan.agents[free_id(name, plan.agents)] = fields
