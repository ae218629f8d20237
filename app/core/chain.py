"""The plan of a call: which models may answer it, in which order, and what follows a failure. Pure; time comes in."""

from __future__ import annotations

from collections.abc import Callable, Collection

from app.core.attempts import Cause, Tried
from app.core.errors import BadRequest, GatewayError, TimedOut
from app.core.frozen import frozen

MAX_MODELS = 10
SENDS_PER_MODEL = 3
SENDS_PER_CALL = 12
_BACKOFF_S = 0.5
_BACKOFF_MOST_S = 8.0
_LEAST_TOKENS = 16
"""Some providers refuse to answer in fewer (openrouter.md §2)."""

_PATIENCE_WITH_OTHERS_S = 5.0
_PATIENCE_ALONE_S = 30.0


@frozen
class Plan:
    """What a call allows."""

    models: tuple[str, ...]
    """In the order to be tried; the first is the one the app asked for."""
    retry_ambiguous: bool = False
    """The app would rather pay twice than get no answer."""
    past_policy: bool = False
    """A refusal for the content moves along the chain like any other failure."""
    clamp: bool = False
    """What the account cannot pay for is asked once more with the max_tokens that it can."""
    free_of: Callable[[str], bool] = lambda model: model.endswith(":free")
    """Whether a model costs nothing."""
    context_of: Callable[[str], int | None] = lambda _: None
    """How many tokens a model takes, where that is known."""

    @property
    def is_chain(self) -> bool:
        """More than one model may answer."""
        return len(self.models) > 1


@frozen
class Send:
    """Send the call to this model, after waiting."""

    model: str
    wait_s: float = 0.0
    max_tokens: int | None = None
    """With this many in place of the call's own."""


@frozen
class GiveUp:
    """Tell the app this."""

    error: GatewayError


def models_of(model: str, fallbacks: Collection[str]) -> tuple[str, ...]:
    """The chain in `model` and `models`, each once; raises BadRequest for a chain that cannot be run."""
    models = tuple(dict.fromkeys([model, *fallbacks] if model else fallbacks))
    if len(models) > MAX_MODELS:
        raise BadRequest(f"A chain has at most {MAX_MODELS} models; this one has {len(models)}.", param="models")
    router = next((name for name in models if name.startswith("openrouter/")), None)
    if router is not None and len(models) > 1:
        raise BadRequest(
            f"{router} chooses the model itself and cannot be part of a chain. Leave out models, or the router.",
            param="models",
        )
    return models


def next_step(
    plan: Plan,
    history: tuple[Tried, ...],
    *,
    left_s: float,
    jitter: float,
    resting: Collection[str] = (),
) -> Send | GiveUp:
    """
    What follows these attempts.

    `left_s` is what is left of the call's time, `jitter` a random number in 0…1, `resting` the models whose breaker
    is open: they are passed over while another is left.
    """
    if left_s <= 0:
        return GiveUp(TimedOut("The call's time is up (X-Orgate-Timeout, ORGATE_TIMEOUT_TOTAL).", code="call_timeout"))
    if not history:
        awake = [model for model in plan.models if model not in resting]
        return Send((awake or plan.models)[0])
    last = history[-1]
    if len(history) >= SENDS_PER_CALL:
        return GiveUp(last.error)
    affordable = affordable_of(last.error)
    if plan.clamp and affordable is not None and sum(tried.cause is Cause.MONEY for tried in history) == 1:
        return Send(last.model, max_tokens=affordable)
    other = _other_model(plan, history, resting)
    wait_s = _wait_before_repeat(plan, history, jitter)
    if other is not None and last.model in resting and other not in resting:
        return Send(other)
    if wait_s is not None and wait_s < left_s and wait_s <= (_PATIENCE_WITH_OTHERS_S if other else _PATIENCE_ALONE_S):
        return Send(last.model, wait_s)
    return Send(other) if other is not None else GiveUp(last.error)


def affordable_of(error: GatewayError) -> int | None:
    """The max_tokens that can be paid for, by a refusal for want of money; None when none are, or it does not say."""
    found = (error.details or {}).get("affordable_max_tokens")
    return found if isinstance(found, int) and found >= _LEAST_TOKENS else None


def _wait_before_repeat(plan: Plan, history: tuple[Tried, ...], jitter: float) -> float | None:
    """Seconds before the same model may be asked again; None when it may not."""
    last = history[-1]
    earlier = [tried for tried in history if tried.model == last.model]
    if len(earlier) >= SENDS_PER_MODEL:
        return None
    backoff_s = jitter * min(_BACKOFF_MOST_S, _BACKOFF_S * 2.0 ** (len(earlier) - 1))
    match last.cause:
        case Cause.UNSENT:
            return backoff_s
        case Cause.BUSY:
            return backoff_s if last.error.retry_after_s is None else float(last.error.retry_after_s)
        case Cause.BROKEN if sum(tried.cause is Cause.BROKEN for tried in earlier) == 1:
            return backoff_s
        case Cause.SILENT | Cause.LOST | Cause.EMPTY if plan.retry_ambiguous and not plan.is_chain:
            return backoff_s
        case _:
            return None


def _other_model(plan: Plan, history: tuple[Tried, ...], resting: Collection[str]) -> str | None:
    """The next model of the chain that these failures may lead to; what one of them ruled out stays so."""
    last = history[-1].cause
    if last in (Cause.REQUEST, Cause.KEY, Cause.LEFT) or (last is Cause.POLICY and not plan.past_policy):
        return None
    tried = {each.model for each in history}
    left = [model for model in plan.models if model not in tried]
    for each in history:
        match each.cause:
            case Cause.MONEY:
                left = [model for model in left if plan.free_of(model)]
            case Cause.DAILY:
                left = [model for model in left if not plan.free_of(model)]
            case Cause.TOO_LONG:
                left = [model for model in left if _is_larger(plan, model, each.model)]
    awake = [model for model in left if model not in resting]
    return next(iter(awake or left), None)


def _is_larger(plan: Plan, model: str, than: str) -> bool:
    size, other = plan.context_of(model), plan.context_of(than)
    return size is None or other is None or size > other
