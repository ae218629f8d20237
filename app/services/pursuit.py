"""One loop for every call: attempt after attempt until there is an answer, or nothing more may be tried."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from app.core import chain
from app.core.attempts import Cause, Phase, Tried
from app.core.calls import Call
from app.core.chain import Send, affordable_of
from app.core.errors import BudgetExceeded, GatewayError, InsufficientCredits
from app.core.ledger import Hold
from app.core.ports import Clock, Events, Upstream, Vault
from app.core.redact import fingerprint
from app.core.shared import Account, Gate
from app.services.answers import Failure, Reader, Success
from app.services.breakers import Breakers
from app.services.holds import Holds
from app.services.run import Run

_BROKE_OFF = {
    "stream_incomplete",
    "upstream_stalled",
    "upstream_truncated",
    "upstream_protocol_error",
    "error_in_stream",
}
"""How a stream ends that the model, or what stands behind it, did not bring to its end."""


class Pursuit:
    """Drives calls; holds what all of them share."""

    def __init__(
        self,
        *,
        upstream: Upstream,
        vault: Vault,
        clock: Clock,
        events: Events,
        credits: Account,
        breakers: Breakers,
        turnstile: Gate,
        holds: Holds,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._upstream = upstream
        self._vault = vault
        self._clock = clock
        self._events = events
        self._credits = credits
        self._breakers = breakers
        self._turnstile = turnstile
        self._holds = holds
        self._jitter = jitter
        self._reader = Reader(clock)

    def answer(self, run: Run) -> Success:
        """The call's answer; raises GatewayError, with every attempt in its details, when there is none."""
        call = run.call
        while True:
            resting = self._breakers.resting(call.plan.models)
            step = chain.next_step(call.plan, run.history, left_s=run.left_s, jitter=self._jitter(), resting=resting)
            if not isinstance(step, Send):
                raise self._final(step.error, run)
            if step.model not in resting and not self._breakers.claim(step.model):
                # Another call probes it already.
                continue
            try:
                run.wait(step.wait_s)
                self._turnstile.enter(call.grant, call.wishes.queue_s, run.wait)
            except GatewayError as error:
                raise self._final(error, run) if run.history else error from None
            success = self._attempt(run, step.model, _within(call, step.max_tokens))
            if success is not None:
                return success

    def _attempt(self, run: Run, model: str, call: Call) -> Success | None:
        key = self._vault.key()
        key_id, free = fingerprint(key), run.call.plan.free_of(model)
        door = self._breakers.closed_door(key_id, self._credits.remaining, free=free)
        if door is not None:
            cause = Cause.MONEY if isinstance(door, InsufficientCredits) else Cause.KEY
            run.asked = (*run.asked, model)
            run.history = (*run.history, Tried(model, cause, door, Phase.NEW, 0.0))
            return None
        hold, call = self._hold(run, model, call, key_id)
        try:
            attempt = self._upstream.post(call.endpoint, call.sent_to(model), call.headers, key=key, stream=call.stream)
            run.enter(attempt, model)
        except BaseException:
            self._holds.unsent(hold)
            raise
        began = self._clock.monotonic()
        self._events.debug("relay.sent", call_id=run.call.id, app=run.call.app, model=model, stream=run.call.stream)
        try:
            success = self._reader.read(run, attempt, partial(self._holds.identified, hold))
        except Failure as failure:
            # Its connection is not used again, also when it could be: the next model must not meet its end on it.
            attempt.cancel()
            failure.error.forget()
            tried = Tried(model, failure.cause, failure.error, attempt.phase, self._clock.monotonic() - began)
            self._holds.failed(hold, tried, run.reading)
            self._note(run, tried, key_id)
            return None
        except BaseException:
            self._holds.lost(hold, run.reading)
            raise
        finally:
            run.relax()
            run.waited_s += self._clock.monotonic() - began
        attempt.advance(Phase.COMMITTED)
        self._breakers.began(model, free=free)
        if not run.answered_by(hold):
            # The app left just before the answer came.
            self._holds.lost(hold, run.reading)
        return success

    def over(self, run: Run, outcome: str) -> None:
        """The call is over after its answer had begun: whether the model brought it to its end is known now."""
        if outcome == "answered":
            self._breakers.answered(run.asked[-1])
        elif outcome in _BROKE_OFF and not (outcome == "upstream_stalled" and run.call.wishes.hasty):
            self._breakers.broke_off(run.asked[-1])

    def _hold(self, run: Run, model: str, call: Call, key_id: str) -> tuple[Hold, Call]:
        """Money is set aside for the attempt, or it is not sent; the call may have been clamped for it."""
        run.attempts += 1
        try:
            try:
                return self._holds.take(call, run.attempts, model, key_id), call
            except BudgetExceeded as error:
                affordable = affordable_of(error)
                if not call.wishes.clamp or affordable is None:
                    raise
                call = _within(call, affordable)
                return self._holds.take(call, run.attempts, model, key_id), call
        except GatewayError as error:
            raise self._final(error, run) if run.history else error from None

    def _note(self, run: Run, tried: Tried, key_id: str) -> None:
        run.history = (*run.history, tried)
        if tried.cause is Cause.LEFT:
            raise self._final(tried.error, run)
        if tried.cause in (Cause.MONEY, Cause.KEY):
            self._credits.doubtful()
        if not (tried.cause is Cause.SILENT and run.call.wishes.hasty):
            self._breakers.failed(tried, key_id, self._credits.remaining())
        self._events.debug("relay.failed", call_id=run.call.id, cause=tried.cause.value, **tried.told())

    def _final(self, error: GatewayError, run: Run) -> GatewayError:
        """The error as the app is told it: with what was tried, and whether trying again makes sense."""
        if run.history:
            told = [tried.told() for tried in run.history]
            error.details = {**(error.details or {}), "attempts": told}
            # The gateway has used its attempts; a client that repeats the call would multiply them.
            passed_on = len(run.history) == 1 and run.history[0].cause is Cause.BUSY and error is run.history[0].error
            error.should_retry = error.should_retry and passed_on
        return error


def _within(call: Call, max_tokens: int | None) -> Call:
    """The call with no more than so many tokens of an answer."""
    if max_tokens is None:
        return call
    body = call.style.within(call.body, max_tokens)
    return replace(call, body=body, changed=body)
