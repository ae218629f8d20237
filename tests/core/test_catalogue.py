from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.catalogue import SORTS, Model, Query, allowed, price, select
from app.core.errors import BadRequest
from tests.core.quick import quick

RECORDED = json.loads((Path(__file__).parents[1] / "data/samples/models_envelope_2026-08-04.json").read_bytes())


def model(id: str, prompt: Any = "0", completion: Any = "0", **more: Any) -> Model:
    """A catalogue entry."""
    return {"id": id, "pricing": {"prompt": prompt, "completion": completion}, **more}


def architecture(inputs: list[str], outputs: list[str], modality: str) -> dict[str, Any]:
    """What a model takes and gives."""
    return {"input_modalities": inputs, "output_modalities": outputs, "modality": modality}


MODELS = [
    model("openai/large", "0.00001", "0.00003", name="OpenAI: Large", context_length=128_000, created=300),
    model(
        "anthropic/seer",
        "0.000003",
        "0.000015",
        name="Anthropic: Seer",
        context_length=200_000,
        created=400,
        architecture=architecture(["text", "image"], ["text"], "text+image->text"),
        supported_parameters=["tools", "reasoning"],
    ),
    model("openrouter/auto", "-1", "-1", name="Auto Router", context_length=2_000_000),
    model(
        "acme/tiny:free",
        name="ACME: Tiny (free)",
        context_length=None,
        created=200,
        architecture=architecture(["text"], ["text"], "text->text"),
        supported_parameters=["tools"],
    ),
    model("openai/small", "0.0000004", "0.0000016", name="OpenAI: Small", context_length=1_000_000, created=500),
    model("openai-fork/seer", "0.000003", "0.000006", name="Fork", created=None, supported_parameters=None),
]
ALL = [entry["id"] for entry in MODELS]


def chosen(**args: str) -> list[str]:
    """The ids that these URL arguments choose, in order."""
    return [entry["id"] for entry in select(MODELS, Query.parse(args))]


@pytest.mark.parametrize(
    ("args", "ids"),
    [
        pytest.param({}, ALL, id="nothing asked"),
        pytest.param({"page": "2", "category": "x"}, ALL, id="not ours"),
        pytest.param({"q": "seer"}, ["anthropic/seer", "openai-fork/seer"], id="in the id"),
        pytest.param({"q": "auto R"}, ["openrouter/auto"], id="in the name, any case"),
        pytest.param({"q": "no such"}, [], id="nothing found"),
        pytest.param({"provider": "OpenAI"}, ["openai/large", "openai/small"], id="provider, the whole of it"),
        pytest.param({"provider": "open"}, [], id="part of a provider"),
        pytest.param({"modality": "image"}, ["anthropic/seer"], id="modality"),
        pytest.param({"modality": "TEXT"}, ["anthropic/seer", "acme/tiny:free"], id="modality in any case"),
        pytest.param({"modality": "text+image->text"}, ["anthropic/seer"], id="whole modality"),
        pytest.param({"modality": "imag"}, [], id="part of a modality"),
        pytest.param({"supported_parameters": "tools"}, ["anthropic/seer", "acme/tiny:free"], id="parameter"),
        pytest.param({"supported_parameters": "tools,reasoning"}, ["anthropic/seer"], id="all parameters"),
        pytest.param({"supported_parameters": ",tools,"}, ["anthropic/seer", "acme/tiny:free"], id="stray commas"),
        pytest.param({"max_price": "0"}, ["acme/tiny:free"], id="free"),
        pytest.param({"max_price": "1.6"}, ["acme/tiny:free", "openai/small"], id="exactly affordable"),
        pytest.param({"max_price": "1.59"}, ["acme/tiny:free"], id="completion too dear"),
        pytest.param({"max_price": "6"}, ["acme/tiny:free", "openai/small", "openai-fork/seer"], id="middle"),
        pytest.param(
            {"max_price": "1e9"}, [name for name in ALL if name != "openrouter/auto"], id="unknown never passes"
        ),
        pytest.param({"q": "seer", "provider": "anthropic", "max_price": "15"}, ["anthropic/seer"], id="all at once"),
        pytest.param(
            {"sort": "price"},
            [
                "acme/tiny:free",
                "openai/small",
                "openai-fork/seer",
                "anthropic/seer",
                "openai/large",
                "openrouter/auto",
            ],
            id="by price, unknown last",
        ),
        pytest.param(
            {"sort": "context"},
            [
                "openrouter/auto",
                "openai/small",
                "anthropic/seer",
                "openai/large",
                "acme/tiny:free",
                "openai-fork/seer",
            ],
            id="by context, unknown last",
        ),
        pytest.param(
            {"sort": "newest"},
            [
                "openai/small",
                "anthropic/seer",
                "openai/large",
                "acme/tiny:free",
                "openrouter/auto",
                "openai-fork/seer",
            ],
            id="newest first, unknown last",
        ),
    ],
)
def test_select(args: dict[str, str], ids: list[str]) -> None:
    """An app sees the models that match all it asked for, in the order it asked for."""
    assert ids == chosen(**args)


@pytest.mark.parametrize(
    ("args", "param"),
    [
        pytest.param({"sort": "cheapest"}, "sort", id="sort"),
        pytest.param({"sort": "Price"}, "sort", id="sort in capitals"),
        pytest.param({"max_price": "cheap"}, "max_price", id="price a word"),
        pytest.param({"max_price": "-1"}, "max_price", id="price negative"),
        pytest.param({"max_price": "1_0"}, "max_price", id="price in Python's spelling"),
        pytest.param({"max_price": "NaN"}, "max_price", id="price NaN"),
        pytest.param({"max_price": "sNaN"}, "max_price", id="price sNaN"),
        pytest.param({"max_price": "Infinity"}, "max_price", id="price infinite"),
        pytest.param({"max_price": "1,5"}, "max_price", id="price with a comma"),
    ],
)
def test_bad_query(args: dict[str, str], param: str) -> None:
    """A question that cannot be answered is refused, naming the argument."""
    with pytest.raises(BadRequest, match=param) as refused:
        Query.parse(args)

    assert param == refused.value.param


def test_entries_are_untouched() -> None:
    """The entries chosen are the very ones that came from upstream."""
    before = json.dumps(RECORDED)
    models = RECORDED["body"]["data"]
    for sort in SORTS:
        assert sorted(map(id, models)) == sorted(map(id, select(models, Query(sort=sort))))

    assert before == json.dumps(RECORDED)


def test_recorded_catalogue() -> None:
    """A recorded catalogue can be searched."""
    models = RECORDED["body"]["data"]

    assert [True] == [
        entry["id"] == "anthropic/claude-sonnet-4" for entry in select(models, Query(q="claude sonnet 4"))
    ]
    assert models == select(models, Query())


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        pytest.param((), [], id="none"),
        pytest.param(("openai/small", "acme/tiny:free"), ["acme/tiny:free", "openai/small"], id="ids"),
        pytest.param(("openai/*",), ["openai/large", "openai/small"], id="an author's"),
        pytest.param(("openai/*", "openai/small"), ["openai/large", "openai/small"], id="both"),
        pytest.param(("openai",), [], id="author without a star"),
        pytest.param(("openai/s*",), [], id="star elsewhere"),
        pytest.param(("acme/tiny",), [], id="not its free variant"),
        pytest.param(("*",), [], id="star alone"),
    ],
)
def test_allowed(names: tuple[str, ...], ids: list[str]) -> None:
    """OPENROUTER_MODELS lets through full ids and all of an author's models, in the catalogue's order."""
    assert ids == [entry["id"] for entry in allowed(MODELS, names)]


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        pytest.param("0.000003", Decimal("0.000003"), id="text"),
        pytest.param("0", Decimal(0), id="free"),
        pytest.param(3, Decimal(3), id="number"),
        pytest.param(Decimal("1e-7"), Decimal("1e-7"), id="decimal"),
        pytest.param("-1", None, id="router"),
        pytest.param("NaN", None, id="NaN"),
        pytest.param("sNaN", None, id="sNaN"),
        pytest.param("Infinity", None, id="infinite"),
        pytest.param("", None, id="empty"),
        pytest.param("ask", None, id="word"),
        pytest.param(None, None, id="null"),
        pytest.param(True, None, id="bool"),
        pytest.param(["0"], None, id="list"),
    ],
)
def test_price(value: Any, amount: Decimal | None) -> None:
    """A price is dollars per token, or unknown."""
    assert amount == price(model("a/b", prompt=value), "prompt")


@pytest.mark.parametrize("pricing", [None, [], "0", {}], ids=str)
def test_price_missing(pricing: Any) -> None:
    """A model that names no price has none, and is not taken for a free one."""
    entry: Model = {"id": "a/b", "pricing": pricing}

    assert price(entry, "prompt") is None
    assert [] == select([entry], Query(max_price=Decimal(0)))
    assert [entry] == select([entry], Query(sort="price"))


odd = st.none() | st.integers(-1, 10) | st.sampled_from(["0", "-1", "0.1", "x"])
odd_model = st.builds(
    model,
    st.sampled_from(["a/b", "a/b:free", "nameless", "c/d"]),
    odd,
    odd,
    context_length=odd,
    created=odd,
    architecture=st.none() | st.just({}) | st.just({"input_modalities": None, "modality": "text->text"}),
)


@given(st.lists(odd_model, max_size=6), st.sampled_from(["", *SORTS]))
@quick
def test_sorting_keeps_all(models: list[Model], sort: str) -> None:
    """Sorting loses no model and doubles none, however little they say of themselves."""
    assert sorted(map(id, models)) == sorted(map(id, select(models, Query(sort=sort))))
