"""The POSTs that models answer, in any dialect: admit the order, choose who answers, play the answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from app.sandbox import faults, order, refusals, tokens
from app.sandbox.account import MANAGEMENT_PREFIXES
from app.sandbox.answers import Answer, compose
from app.sandbox.backend import Backend
from app.sandbox.catalogue import Model
from app.sandbox.dialects import DIALECTS, Dialect
from app.sandbox.faults import Fault
from app.sandbox.order import Order
from app.sandbox.outlet import ClientGoneError, Outlet
from app.sandbox.pricing import Price
from app.sandbox.refusals import RefusedError
from app.sandbox.scenes import PlainScene, Scene, StreamScene
from app.sandbox.shapes import Reply
from app.sandbox.wire import Json

_NOT_SKIPPED = (401, 402)
_MILLION = 1_000_000


@dataclass(frozen=True)
class Choice:
    """Who answers, and how badly."""

    model: Model
    price: Price
    fault: Fault
    number: int


def complete(body: bytes, dialect: Dialect, key: str, backend: Backend, outlet: Outlet) -> None:
    """Answer one request; raises Refused when it cannot be admitted."""
    fields = order.parse(body)
    outlet.entry.saw_fields(fields)
    if key.startswith(MANAGEMENT_PREFIXES):
        raise refusals.error(403, "Management keys cannot be used for completions")
    wanted = order.read(dialect.to_chat(fields))
    _check_account(key, backend)
    override = wanted.override
    if override.status != 200 or override.body is not None:
        outlet.wait(override.delay_s)
        raise _overriding(wanted)
    choice = _choose(wanted, backend, dialect)
    scene = _scene(wanted, choice, fields, dialect, key, backend, outlet)
    try:
        if override.delay_s:
            scene.begin()
            outlet.wait(override.delay_s)
        choice.fault.play(scene, choice.number)
    except ClientGoneError:
        scene.abandon()
        raise


def _check_account(key: str, backend: Backend) -> None:
    if backend.account.key_is_spent(key):
        raise refusals.key_limit()
    if backend.account.balance() < 0:
        raise refusals.in_debt()


def _overriding(wanted: Order) -> RefusedError:
    override = wanted.override
    if override.body is None:
        usual = refusals.status(override.status)
        return RefusedError(override.status, usual.content, override.headers)
    body = override.body.encode(errors="replace") if isinstance(override.body, str) else override.body
    return RefusedError(override.status, body, override.headers)


def _choose(wanted: Order, backend: Backend, dialect: Dialect) -> Choice:
    """The first candidate that can answer; account errors end the search, as at OpenRouter."""
    failures: list[RefusedError] = []
    for name in wanted.candidates:
        try:
            return _admit(name, wanted, backend, dialect)
        except RefusedError as refused:
            if refused.status in _NOT_SKIPPED:
                raise
            failures.append(refused)
    raise failures[-1].after(failures[:-1])


def _admit(name: str | None, wanted: Order, backend: Backend, dialect: Dialect) -> Choice:
    if name and name.startswith(faults.PREFIX):
        found = faults.find(name)
        if found is None:
            raise refusals.unknown_model(name)
        fault, number = found
        if fault.refuse:
            raise fault.refuse(number)
        entry = faults.entry(name.removeprefix(faults.PREFIX), fault.description)
        model: Model | None = Model(name, entry)
    else:
        fault, number = faults.FAULTS["ok"], -1
        own, other = backend.catalogue, backend.embedders
        if dialect.path == "/embeddings":
            own, other = other, own
        model = own.resolve(name, wanted.last_user_text)
        if model is None and name and other.find(name):
            raise refusals.wrong_endpoint(name)
    if model is None:
        raise refusals.unknown_model(str(name))
    if model.entry["id"].endswith(":batch"):
        raise refusals.no_endpoints(model.id)
    price = model.price(wanted.prompt_tokens, datetime.now(UTC))
    _check_provider(wanted, model, price)
    _check_size(wanted, model)
    _check_money(wanted, model, price, backend)
    return Choice(model, price, fault, number)


def _check_provider(wanted: Order, model: Model, price: Price) -> None:
    allowed = wanted.provider.get("only")
    if (
        isinstance(allowed, list)
        and allowed
        and model.provider_slug not in {str(each).split("/")[0] for each in allowed}
    ):
        raise refusals.not_allowed(model.id, model.provider_slug, [str(each) for each in allowed])
    ceiling = wanted.provider.get("max_price")
    for name, value in (("prompt", price.prompt), ("completion", price.completion)):
        limit = ceiling.get(name) if isinstance(ceiling, dict) else None
        if limit is None:
            continue
        try:
            too_dear = value * _MILLION > Decimal(str(limit))
        except InvalidOperation as exc:
            raise refusals.error(400, f"Invalid input: provider.max_price.{name}") from exc
        if too_dear:
            raise refusals.error(404, f"No endpoints found for {model.id} within provider.max_price.{name}.")


def _check_size(wanted: Order, model: Model) -> None:
    needed = wanted.prompt_tokens + (wanted.max_tokens or 0)
    if needed > model.context_length:
        raise refusals.too_long(model.context_length, needed)


def _check_money(wanted: Order, model: Model, price: Price, backend: Backend) -> None:
    if not price.completion and not price.prompt:
        return
    if not backend.account.bought():
        raise refusals.never_bought()
    asked = wanted.max_tokens or max(1, min(model.max_output, model.context_length - wanted.prompt_tokens))
    left = backend.account.balance() - price.prompt_cost(wanted.prompt_tokens)
    if price.completion_cost(asked) > left:
        raise refusals.cannot_afford(asked, price.affordable(left))


def _scene(
    wanted: Order, choice: Choice, fields: Json, dialect: Dialect, key: str, backend: Backend, outlet: Outlet
) -> Scene:
    embeds = dialect is DIALECTS["/embeddings"]
    reply = Reply(
        choice.model,
        Answer() if embeds else _answer(wanted, choice),
        wanted.prompt_tokens,
        choice.price,
        wanted.shows_reasoning,
        fields,
        bills_prompt_only=embeds,
    )
    interval_s = 0.0 if choice.fault.instant and choice.number >= 0 else backend.interval_s
    if wanted.override.interval_s is not None:
        interval_s = wanted.override.interval_s
    kind = StreamScene if wanted.stream else PlainScene
    return kind(outlet, reply, interval_s, backend.account.charge, dialect, key, dict(wanted.override.headers))


def _answer(wanted: Order, choice: Choice) -> Answer:
    if wanted.override.text is None and wanted.override.events is None:
        if choice.fault.echoes:
            return Answer(tokens.pieces(wanted.last_user_text))
        fixed = choice.fault.answer(choice.number)
        if fixed:
            return fixed
    return compose(wanted, choice.model.entry["name"])
