"""One loop for every call: attempt after attempt until there is an answer, or nothing more may be tried."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable

from app.core import chain
from app.core.attempts import Cause, Phase, Tried
from app.core.calls import Call
from app.core.chain import Send
from app.core.errors import GatewayError, InsufficientCredits
from app.core.ports import Clock, Events, Upstream, Vault
from app.core.shapes import dump
from app.services.answers import Failure, Reader, Success
from app.services.breakers import Breakers
from app.services.credits import Credits
from app.services.run import Run
from app.services.turnstile import Turnstile


class Pursuit:
    """Drives calls; holds what all of them share."""

    def __init__(
        self,
        *,
        upstream: Upstream,
        vault: Vault,
        clock: Clock,
        events: Events,
        credits: Credits,
        breakers: Breakers,
        turnstile: Turnstile,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._upstream = upstream
        self._vault = vault
        self._clock = clock
        self._events = events
        self._credits = credits
        self._breakers = breakers
        self._turnstile = turnstile
        self._jitter = jitter
        self._reader = Reader(clock)

    def answer(self, run: Run) -> Success:
        """The call's answer; raises GatewayError, with every attempt in its details, when there is none."""
        call = run.call
        while True:
            step = chain.next_step(
                call.plan,
                run.history,
                left_s=run.left_s,
                jitter=self._jitter(),
                resting=self._breakers.resting(call.plan.models),
            )
            if not isinstance(step, Send):
                raise self._final(step.error, run)
            try:
                run.wait(step.wait_s)
                self._turnstile.enter(call.grant, call.wishes.queue_s, run.wait)
            except GatewayError as error:
                raise self._final(error, run) if run.history else error from None
            success = self._attempt(run, step.model)
            if success is not None:
                return success

    def _attempt(self, run: Run, model: str) -> Success | None:
        key = self._vault.key()
        began = self._clock.monotonic()
        door = self._breakers.closed_door(_id_of(key), self._credits.remaining(), free=run.call.plan.free_of(model))
        if door is not None:
            cause = Cause.MONEY if isinstance(door, InsufficientCredits) else Cause.KEY
            run.asked = (*run.asked, model)
            run.history = (*run.history, Tried(model, cause, door, Phase.NEW, 0.0))
            return None
        body = _body_for(run.call, model)
        attempt = self._upstream.post(run.call.endpoint, body, run.call.headers, key=key, stream=run.call.stream)
        run.enter(attempt, model)
        self._breakers.sent(model)
        self._events.debug("relay.sent", call_id=run.call.id, app=run.call.app, model=model, stream=run.call.stream)
        try:
            success = self._reader.read(run, attempt)
        except Failure as failure:
            # Its connection is not used again, also when it could be: the next model must not meet its end on it.
            attempt.cancel()
            tried = Tried(model, failure.cause, failure.error, attempt.phase, self._clock.monotonic() - began)
            self._note(run, tried, _id_of(key))
            return None
        finally:
            run.relax()
            run.waited_s += self._clock.monotonic() - began
        self._breakers.answered(model, free=run.call.plan.free_of(model))
        return success

    def _note(self, run: Run, tried: Tried, key_id: str) -> None:
        run.history = (*run.history, tried)
        if tried.cause is Cause.LEFT:
            raise self._final(tried.error, run)
        if isinstance(tried.error, InsufficientCredits) and tried.cause is Cause.MONEY:
            self._credits.doubtful()
        self._breakers.failed(tried, key_id, self._credits.remaining())
        self._events.debug("relay.failed", call_id=run.call.id, cause=tried.cause.value, **tried.told())

    def _final(self, error: GatewayError, run: Run) -> GatewayError:
        """The error as the app is told it: with what was tried, and whether trying again makes sense."""
        if run.history:
            told = [tried.told() for tried in run.history]
            error.details = {**(error.details or {}), "attempts": told}
            # The gateway has used its attempts; a client that repeats the call would multiply them.
            passed_on = len(run.history) == 1 and run.history[0].cause is Cause.BUSY
            error.should_retry = error.should_retry and passed_on
        return error


def _body_for(call: Call, model: str) -> bytes:
    return call.raw if call.changed is None else dump({**call.changed, "model": model})


def _id_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:16]
