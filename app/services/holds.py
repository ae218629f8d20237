"""The hold of every attempt: set aside before it is sent, settled once, never lost."""

from __future__ import annotations

from app.core import estimate, verdict
from app.core.attempts import Phase, Tried
from app.core.budget import Budget
from app.core.calls import Call, CallReport
from app.core.chain import affordable_of
from app.core.errors import BudgetExceeded, Left
from app.core.ledger import Closing, Hold, Source, State
from app.core.meter import Reading, Usage
from app.core.money import NANO, nanos
from app.core.shared import Books
from app.services.models import Models


class Holds:
    """Says what is to be set aside for each attempt, and what its end means for that; the books keep it."""

    def __init__(self, *, books: Books, models: Models, unknown_hold: int) -> None:
        self._books = books
        self._models = models
        self._unknown_hold = unknown_hold

    def take(self, call: Call, number: int, model: str, key_id: str) -> Hold:
        """
        The hold of an attempt, committed: now it may be sent.

        Raises BudgetExceeded when it does not fit, and Unavailable when it cannot be written down.
        """
        entry = self._models.entry_of(model)
        body = {**call.body, "model": model}
        guess = estimate.hold_of(entry, body, call.size, unknown=self._unknown_hold, style=call.style)
        hold = Hold(
            attempt_id=f"{call.id}:{number}",
            call_id=call.id,
            number=number,
            app=call.app,
            endpoint=call.endpoint,
            asked=call.model,
            model=model,
            key_id=key_id,
            amount=guess.amount,
            priced=guess.priced,
            stream=call.stream,
            agent=call.agent,
        )
        try:
            self._books.reserve(hold, [Budget(period, limit) for period, limit in call.grant.budgets.items()])
        except BudgetExceeded as error:
            affordable = estimate.affordable_tokens(entry, body, call.size, _left(error), style=call.style)
            self._explain(error, hold, affordable)
            if not (call.wishes.clamp and affordable_of(error)):
                self._books.refused(call.app, error.details or {})
            raise
        return hold

    def _explain(self, error: BudgetExceeded, hold: Hold, affordable: int | None) -> None:
        """Tell the app how long an answer it could still have, if anybody knows."""
        details = error.details = {**(error.details or {}), "priced": hold.priced}
        if affordable:
            details["affordable_max_tokens"] = affordable
        if not hold.priced:
            error.message += (
                f" The price of {hold.model[:100]} is not known: so much is set aside for it whatever max_tokens says "
                "(ORGATE_UNKNOWN_PRICE_HOLD)."
            )

    def identified(self, hold: Hold, generation_id: str) -> None:
        """OpenRouter has given the attempt an id."""
        self._books.identify(hold.attempt_id, generation_id)

    def failed(self, hold: Hold, tried: Tried, reading: Reading) -> None:
        """The attempt gave no answer: its hold is released if that cost nothing for certain."""
        status, outcome = tried.error.status, tried.error.code
        # An error inside a 200 has a generation behind it, whatever OpenRouter says of charging for it.
        unbilled = tried.phase < Phase.SENT or not (verdict.may_be_billed(tried.cause) or reading.error is not None)
        self._over(hold, reading, status, outcome, tried.seconds, unbilled=unbilled)

    def unsent(self, hold: Hold) -> None:
        """The attempt was not even begun."""
        self._over(hold, Reading(), Left.status, Left.code, None, unbilled=True)

    def ended(self, hold: Hold, report: CallReport, reading: Reading) -> None:
        """The call is over and this attempt answered it, or was answering it when it ended."""
        status, outcome = report.status, report.outcome
        self._over(hold, reading, status, outcome, report.duration_s, report.first_byte_s, is_last=True)

    def lost(self, hold: Hold, reading: Reading) -> None:
        """Nobody waits for the attempt any more: the app left, or our own code failed around it."""
        self._over(hold, reading, Left.status, Left.code, None)

    def _over(
        self,
        hold: Hold,
        reading: Reading,
        status: int,
        outcome: str,
        seconds: float | None,
        first_content_s: float | None = None,
        *,
        unbilled: bool = False,
        is_last: bool = False,
    ) -> None:
        cost = _believable(reading.usage, hold)
        state, source = (State.AMBIGUOUS, None) if cost is None else (State.SETTLED, Source.ANSWER)
        if cost is None and unbilled:
            state, cost = State.RELEASED, 0
        self._books.close(
            hold,
            Closing(
                attempt_id=hold.attempt_id,
                state=state,
                cost=cost,
                source=source,
                served_model=reading.model,
                provider=reading.provider,
                generation_id=reading.generation_id,
                usage=reading.usage,
                status=status,
                outcome=outcome,
                first_content_s=first_content_s,
                duration_s=seconds,
            ),
            is_last=is_last,
        )


def _left(error: BudgetExceeded) -> int:
    return nanos((error.details or {}).get("left")) or 0


def _believable(usage: Usage | None, hold: Hold) -> int | None:
    """The cost that the answer told, unless it is so far above the hold that OpenRouter is asked again."""
    if usage is None or usage.cost is None:
        return None
    return usage.cost if usage.cost <= 3 * hold.amount + NANO else None
