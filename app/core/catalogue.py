"""The model catalogue as a value: choosing and ordering its entries without touching them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation

from app.core import claude, forms
from app.core.errors import Json
from app.core.forms import Kind, Parameter
from app.core.frozen import frozen

Model = dict[str, Json]
SORTS = ("price", "context", "newest")
_ROUTES = (":nitro", ":floor", ":exacto", ":online")
"""Ends of an id that say how to reach the model, not which; the catalogue does not list them."""

_AMOUNT = re.compile(r"[0-9]*\.?[0-9]*(?:[eE][+-]?[0-9]{1,3})?")
_PRICE = Kind(
    "dollars per million tokens, for example 2.50",
    {"type": "number", "minimum": 0},
    lambda text: _amount(text) is not None,
)
_Q = Parameter("q", forms.ANY_TEXT, "Part of the id or the name, in any case.")
_PROVIDER = Parameter("provider", forms.ANY_TEXT, "Who makes the model: the id up to its slash.")
_MODALITY = Parameter("modality", forms.ANY_TEXT, "An input or output modality such as image, or text+image->text.")
_PARAMETERS = Parameter("supported_parameters", forms.ANY_TEXT, "Parameters that the model must know, by commas.")
_MAX_PRICE = Parameter("max_price", _PRICE, "Neither prompt nor completion may be dearer; unknown prices do not pass.")
_SORT = Parameter("sort", forms.words(*SORTS), "The order; without it the catalogue's own.")
ARGUMENTS = (_Q, _PROVIDER, _MODALITY, _PARAMETERS, _MAX_PRICE, _SORT)
"""What `Query.parse` reads."""


@frozen
class Query:
    """Which models an app wants to see, and in which order."""

    q: str = ""
    """Part of the id or the name, in any case."""
    provider: str = ""
    """Who makes the model: the id up to its slash."""
    modality: str = ""
    """An input or output modality (image, audio …), or the whole form ("text+image->text")."""
    supported_parameters: tuple[str, ...] = ()
    max_price: Decimal | None = None
    """Dollars per million tokens; neither prompt nor completion may be dearer. Unknown prices do not pass."""
    sort: str = ""

    @classmethod
    def parse(cls, args: dict[str, str]) -> Query:
        """The query in these URL arguments; names that are not ours are ignored. Raises BadRequest."""
        most = _MAX_PRICE.of(args)
        return cls(
            q=(_Q.of(args) or "").lower(),
            provider=(_PROVIDER.of(args) or "").lower(),
            # A "+" that was not encoded arrives as a space.
            modality=(_MODALITY.of(args) or "").lower().replace(" ", "+"),
            supported_parameters=tuple(filter(None, (_PARAMETERS.of(args) or "").split(","))),
            max_price=_amount(most) if most is not None else None,
            sort=_SORT.of(args) or "",
        )


def select(models: Iterable[Model], query: Query) -> list[Model]:
    """The models that match, in the order asked for; without one, in the catalogue's."""
    chosen = [model for model in models if _matches(model, query)]
    if query.sort == "price":
        return sorted(chosen, key=lambda model: (_dearest(model) is None, price(model, "prompt") or 0, _total(model)))
    if query.sort == "context":
        return sorted(chosen, key=lambda model: -_whole(model.get("context_length")))
    if query.sort == "newest":
        return sorted(chosen, key=lambda model: -_whole(model.get("created")))
    return chosen


def allowed(models: Iterable[Model], names: tuple[str, ...]) -> list[Model]:
    """The models that OPENROUTER_MODELS lets through: full ids, or "author/*" for all of one author."""
    authors = {name[:-1] for name in names if name.endswith("/*")}
    return [model for model in models if model["id"] in names or f"{str(model['id']).split('/')[0]}/" in authors]


def by_name(models: Iterable[Model]) -> dict[str, Model]:
    """The entries by id and by canonical slug, which a model shares with its variants (":free", ":batch")."""
    models = list(models)
    named: dict[str, Model] = {}
    for model in models:
        _, colon, variant = model["id"].partition(":")
        slug = str(model.get("canonical_slug") or model["id"])
        named.setdefault(slug.removesuffix(colon + variant) + colon + variant, model)
    return {**named, **{model["id"]: model for model in models}}


def entry_in(entries: Mapping[str, Model], model: str) -> Model | None:
    """The entry of a model among those of `by_name`; None when it is not listed."""
    if claude.is_short(model):
        model = claude.by_key(entries).get(claude.key_of(model), model)
    entry = entries.get(model)
    return entries.get(model.rpartition(":")[0]) if entry is None and model.endswith(_ROUTES) else entry


def price(model: Model, kind: str) -> Decimal | None:
    """Dollars per token, or None when it is not known (routers say "-1")."""
    pricing = model.get("pricing")
    value = pricing.get(kind) if isinstance(pricing, dict) else None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and amount >= 0 else None


def _matches(model: Model, query: Query) -> bool:
    identity = f"{model['id']} {model.get('name', '')}".lower()
    return (
        query.q in identity
        and (not query.provider or str(model["id"]).lower().startswith(f"{query.provider}/"))
        and (not query.modality or query.modality in _modalities(model))
        and set(query.supported_parameters) <= set(model.get("supported_parameters") or ())
        and (query.max_price is None or _affordable(model, query.max_price))
    )


def _modalities(model: Model) -> set[str]:
    architecture = model.get("architecture")
    if not isinstance(architecture, dict):
        return set()
    kinds = [*(architecture.get("input_modalities") or ()), *(architecture.get("output_modalities") or ())]
    return {str(kind).lower() for kind in [*kinds, architecture.get("modality")]}


def _affordable(model: Model, per_million: Decimal) -> bool:
    dearest = _dearest(model)
    return dearest is not None and dearest * 1_000_000 <= per_million


def _dearest(model: Model) -> Decimal | None:
    prompt, completion = price(model, "prompt"), price(model, "completion")
    return None if prompt is None or completion is None else max(prompt, completion)


def _total(model: Model) -> Decimal:
    return (price(model, "prompt") or Decimal(0)) + (price(model, "completion") or Decimal(0))


def _whole(value: Json) -> int:
    return value if isinstance(value, int) else 0


def _amount(text: str) -> Decimal | None:
    """The amount in this text; None when there is none, or one below 0."""
    try:
        return Decimal(text) if _AMOUNT.fullmatch(text) else None
    except InvalidOperation:
        return None
