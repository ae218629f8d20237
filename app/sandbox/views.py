"""Catalogue and generations in OpenRouter's shapes."""

from __future__ import annotations

from datetime import UTC, datetime

from app.sandbox import refusals
from app.sandbox.account import Account, Generation
from app.sandbox.catalogue import Catalogue, Model
from app.sandbox.wire import Json, dollars


def model(catalogue: Catalogue, name: str) -> Json:
    """The answer of `GET /model/{author}/{slug}`."""
    return {"data": _found(catalogue, name).entry}


def endpoints(catalogue: Catalogue, name: str) -> Json:
    """The answer of `GET /models/{author}/{slug}/endpoints`: one endpoint, made from the catalogue's entry."""
    found = _found(catalogue, name)
    entry, top = found.entry, found.entry["top_provider"]
    steady = {"p50": 40, "p75": 50, "p90": 70, "p99": 90}
    offer = {
        "name": f"{found.provider} | {entry['canonical_slug']}",
        "model_id": entry["id"],
        "model_name": entry["name"],
        "context_length": top.get("context_length") or found.context_length,
        "pricing": entry["pricing"],
        "provider_name": found.provider,
        "tag": found.provider_slug,
        "quantization": None,
        "max_completion_tokens": top.get("max_completion_tokens"),
        "max_prompt_tokens": None,
        "supported_parameters": entry["supported_parameters"],
        "status": 0,
        "uptime_last_5m": 100,
        "uptime_last_30m": 100,
        "uptime_last_1d": 100,
        "supports_implicit_caching": False,
        "supports_diarization": False,
        "supports_tool_choice": dict.fromkeys(("auto", "function", "none", "required"), True),
        "native_tools": {},
        "service_tier": None,
        "latency_last_30m": steady,
        "throughput_last_30m": steady,
    }
    kept = {key: entry[key] for key in ("id", "name", "created", "description", "architecture")}
    return {"data": {**kept, "endpoints": [offer]}}


def _found(catalogue: Catalogue, name: str) -> Model:
    found = catalogue.find(name)
    if found is None:
        raise refusals.error(404, f"Model not found: {name}")
    return found


def generation(account: Account, name: str) -> Json:
    """The answer of `GET /generation?id=`; 404 until the account has it."""
    made = account.generation(name)
    if made is None:
        raise refusals.error(404, f"Generation {name} not found")
    return {"data": {**_identity(made), **_counts(made), **_nothing()}}


def _identity(made: Generation) -> Json:
    cost = dollars(made.cost_nano)
    return {
        "id": made.id,
        "model": made.model,
        "provider_name": made.provider,
        "api_type": made.api_type,
        "created_at": datetime.fromtimestamp(made.started_at, UTC).isoformat(),
        "total_cost": cost,
        "usage": cost,
        "upstream_inference_cost": None,
        "cache_discount": None,
        "is_byok": False,
        "streamed": made.streamed,
        "cancelled": made.cancelled,
        "finish_reason": made.finish_reason,
        "native_finish_reason": made.native_finish_reason,
        "latency": made.latency_ms,
        "generation_time": made.duration_ms,
        "moderation_latency": None,
        "http_referer": made.headers.get("http-referer"),
        "origin": made.headers.get("http-referer", ""),
        "user_agent": made.headers.get("user-agent"),
        "session_id": made.headers.get("x-session-id"),
        "request_id": f"req-{made.id.removeprefix('gen-')}",
        "upstream_id": f"sandbox-{made.id}",
    }


def _counts(made: Generation) -> Json:
    return {
        "tokens_prompt": made.prompt_tokens,
        "tokens_completion": made.completion_tokens,
        "native_tokens_prompt": made.prompt_tokens,
        "native_tokens_completion": made.completion_tokens,
        "native_tokens_reasoning": made.reasoning_tokens,
        "native_tokens_cached": 0,
        "native_tokens_completion_images": 0,
    }


def _nothing() -> Json:
    absent = (
        "app_id", "data_region", "external_user", "num_fetches", "num_input_audio_prompt", "num_media_completion",
        "num_media_prompt", "num_search_results", "preset_id", "provider_responses", "router", "service_tier",
        "web_search_engine", "workspace_id",
    )  # fmt: skip
    return {**dict.fromkeys(absent), "data_region": "global"}
