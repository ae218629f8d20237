from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.attempts import Cause, Phase, Tried
from app.core.chain import GiveUp, Plan, Send, models_of, next_step
from app.core.errors import BadRequest, GatewayError, InsufficientCredits, UpstreamFailed
from tests.core.quick import quick

FIRST, OTHER, FREE = "a/first", "b/other", "c/other:free"
PLACES = ("alone", "another left", "chain exhausted")

TABLE = {
    #             alone   left   exhausted; each after 1, 2 and 3 sends: r(epeat), m(ove on), g(ive up)
    Cause.UNSENT: ("rrg", "rrm", "rrg"),
    Cause.BUSY: ("rrg", "rrm", "rrg"),
    Cause.BROKEN: ("rgg", "rmm", "rgg"),
    Cause.MODEL: ("ggg", "mmm", "ggg"),
    Cause.TOO_LONG: ("ggg", "mmm", "ggg"),
    Cause.REQUEST: ("ggg", "ggg", "ggg"),
    Cause.KEY: ("ggg", "ggg", "ggg"),
    Cause.MONEY: ("ggg", "ggg", "ggg"),
    Cause.POLICY: ("ggg", "ggg", "ggg"),
    Cause.DAILY: ("ggg", "mmm", "ggg"),
    Cause.SILENT: ("ggg", "mmm", "ggg"),
    Cause.LOST: ("ggg", "mmm", "ggg"),
    Cause.EMPTY: ("ggg", "mmm", "ggg"),
    Cause.LEFT: ("ggg", "ggg", "ggg"),
}
"""What follows a failure when the other model is one that must be paid."""

AMBIGUOUS = {Cause.SILENT, Cause.LOST, Cause.EMPTY}
FINAL = {Cause.REQUEST, Cause.KEY, Cause.POLICY, Cause.LEFT}
ROWS = [
    pytest.param(cause, place, sends, row[place][sends - 1], id=f"{cause.value}, {PLACES[place]}, {sends}")
    for cause, row in TABLE.items()
    for place in range(3)
    for sends in (1, 2, 3)
]


def tried(model: str, cause: Cause, wait_s: int | None = None) -> Tried:
    """A failed attempt."""
    return Tried(model, cause, UpstreamFailed(cause.value, retry_after_s=wait_s), Phase.HEADERS, 1.0)


def step(
    plan: Plan | tuple[str, ...],
    *history: Tried,
    left_s: float = 3600.0,
    jitter: float = 1.0,
    resting: tuple[str, ...] = (),
) -> Send | GiveUp:
    """What follows these attempts."""
    plan = plan if isinstance(plan, Plan) else Plan(plan)
    return next_step(plan, history, left_s=left_s, jitter=jitter, resting=resting)


def told(step: Send | GiveUp) -> GatewayError:
    """The error of a call that is given up."""
    assert isinstance(step, GiveUp)
    return step.error


def test_all_causes_are_known() -> None:
    """Every cause has its row in the table."""
    assert set(Cause) == TABLE.keys()


@pytest.mark.parametrize(("cause", "place", "sends", "follows"), ROWS)
def test_table(cause: Cause, place: int, sends: int, follows: str) -> None:
    """What follows a failure depends on its cause, on the models that are left, and on the sends so far."""
    chain = (FIRST,) if PLACES[place] == "alone" else (FIRST, OTHER)
    before = (tried(OTHER, Cause.MODEL),) if PLACES[place] == "chain exhausted" else ()
    history = (*before, *[tried(FIRST, cause)] * sends)
    backoff_s = 0.5 * 2 ** (sends - 1)
    expected = {"r": Send(FIRST, backoff_s), "m": Send(OTHER), "g": GiveUp(history[-1].error)}

    assert expected[follows] == step(chain, *history)


@pytest.mark.parametrize("cause", TABLE, ids=lambda cause: cause.value)
@pytest.mark.parametrize("earlier", [Cause.UNSENT, Cause.BUSY, Cause.BROKEN], ids=lambda cause: cause.value)
def test_mixed_failures(cause: Cause, earlier: Cause) -> None:
    """A repeat that fails otherwise is judged by its own cause, and the sends of both count together."""
    two = (tried(FIRST, earlier), tried(FIRST, cause))
    repeats = cause in (Cause.UNSENT, Cause.BUSY) or (cause is Cause.BROKEN and earlier is not Cause.BROKEN)

    assert (Send(FIRST, 1.0) if repeats else GiveUp(two[-1].error)) == step((FIRST,), *two)
    assert GiveUp(two[-1].error) == step((FIRST,), two[0], *two)


@pytest.mark.parametrize("cause", TABLE, ids=lambda cause: cause.value)
def test_no_thirteenth_send(cause: Cause) -> None:
    """After 12 sends a call ends, whatever failed and whoever is left."""
    chain = tuple(f"a/{number}" for number in range(6))
    history = [tried(model, Cause.BUSY) for model in chain[:4] for _ in range(3)]
    eleven = (*history[:10], tried(chain[3], Cause.BUSY))
    last = (*history[:11], tried(chain[3], cause))

    assert isinstance(step(chain, *eleven), Send)
    assert GiveUp(last[-1].error) == step(chain, *last)


@pytest.mark.parametrize(
    ("resting", "model"),
    [((), FIRST), ((FIRST,), OTHER), ((OTHER,), FIRST), ((FIRST, OTHER), FREE), ((FIRST, OTHER, FREE), FIRST)],
    ids=["none", "first", "second", "two", "all"],
)
def test_first_send(resting: tuple[str, ...], model: str) -> None:
    """A call goes at once to the first model that does not rest, and to the first of all when all rest."""
    assert Send(model) == step((FIRST, OTHER, FREE), resting=resting)


def test_resting_model_later() -> None:
    """A resting model is passed over while another is left."""
    history = [tried(FIRST, Cause.MODEL)]

    assert Send(FREE) == step((FIRST, OTHER, FREE), *history, resting=(OTHER,))
    assert Send(OTHER) == step((FIRST, OTHER), *history, resting=(OTHER,))


@pytest.mark.parametrize("cause", [Cause.UNSENT, Cause.BUSY, Cause.BROKEN], ids=lambda cause: cause.value)
def test_model_that_came_to_rest(cause: Cause) -> None:
    """A model that rests since its failure is not repeated while another is awake."""
    assert Send(OTHER) == step((FIRST, OTHER), tried(FIRST, cause), resting=(FIRST,))
    assert Send(FIRST, 0.5) == step((FIRST, OTHER), tried(FIRST, cause), resting=(FIRST, OTHER))
    assert Send(FIRST, 0.5) == step((FIRST,), tried(FIRST, cause), resting=(FIRST,))


@pytest.mark.parametrize("jitter", [0.0, 0.25, 1.0])
def test_backoff(jitter: float) -> None:
    """Back-off is full jitter over 0.5 s, then over twice as much."""
    failed = tried(FIRST, Cause.BUSY)

    assert Send(FIRST, jitter * 0.5) == step((FIRST,), failed, jitter=jitter)
    assert Send(FIRST, jitter * 1.0) == step((FIRST,), failed, failed, jitter=jitter)


@pytest.mark.parametrize(
    ("wait_s", "alone", "with_another"),
    [
        (0, Send(FIRST, 0.0), Send(FIRST, 0.0)),
        (5, Send(FIRST, 5.0), Send(FIRST, 5.0)),
        (6, Send(FIRST, 6.0), Send(OTHER)),
        (30, Send(FIRST, 30.0), Send(OTHER)),
        (31, None, Send(OTHER)),
        (86_400, None, Send(OTHER)),
    ],
)
def test_retry_after(wait_s: int, alone: Send | None, with_another: Send) -> None:
    """Retry-After is waited for up to 30 s, up to 5 s while another model is left, and else passed on."""
    busy = tried(FIRST, Cause.BUSY, wait_s)

    assert (alone or GiveUp(busy.error)) == step((FIRST,), busy)
    assert with_another == step((FIRST, OTHER), busy)


def test_patience_when_the_chain_is_exhausted() -> None:
    """The last model of a chain is waited for like a model alone."""
    assert Send(OTHER, 20.0) == step((FIRST, OTHER), tried(FIRST, Cause.MODEL), tried(OTHER, Cause.BUSY, 20))


def test_no_time_to_wait() -> None:
    """A wait that does not fit into the rest of the call's time is not begun."""
    busy = tried(FIRST, Cause.BUSY, 4)

    assert Send(FIRST, 4.0) == step((FIRST,), busy, left_s=4.1)
    assert GiveUp(busy.error) == step((FIRST,), busy, left_s=4.0)
    assert Send(OTHER) == step((FIRST, OTHER), busy, left_s=4.0)


@pytest.mark.parametrize("history", [(), (tried(FIRST, Cause.BUSY),)], ids=["before the first send", "later"])
def test_no_time_left(history: tuple[Tried, ...]) -> None:
    """When the call's time is up nothing more is sent, not even once."""
    assert "call_timeout" == told(step((FIRST, OTHER), *history, left_s=0.0)).code


@pytest.mark.parametrize("cause", TABLE, ids=lambda cause: cause.value)
def test_retry_ambiguous(cause: Cause) -> None:
    """Who would rather pay twice gets ambiguous failures repeated, and no others that were not repeated before."""
    failed = tried(FIRST, cause)
    usual = step((FIRST,), failed)

    assert (Send(FIRST, 0.5) if cause in AMBIGUOUS else usual) == step(Plan((FIRST,), retry_ambiguous=True), failed)
    assert cause not in AMBIGUOUS or isinstance(usual, GiveUp)


@pytest.mark.parametrize("cause", sorted(AMBIGUOUS, key=str), ids=lambda cause: cause.value)
def test_retry_ambiguous_in_a_chain(cause: Cause) -> None:
    """In a chain an ambiguous failure leads on and is never repeated, also by wish, also at the end."""
    plan = Plan((FIRST, OTHER), retry_ambiguous=True)
    last = tried(OTHER, cause)

    assert Send(OTHER) == step(plan, tried(FIRST, cause))
    assert GiveUp(last.error) == step(plan, tried(FIRST, cause), last)


@pytest.mark.parametrize("cause", [Cause.MODEL, Cause.BUSY, Cause.SILENT, Cause.LOST], ids=lambda cause: cause.value)
def test_money_stays_short(cause: Cause) -> None:
    """Once the account cannot pay only free models are tried, also after another failure."""
    chain = (FIRST, FREE, OTHER, "d/last:free")
    short = tried(FIRST, Cause.MONEY)

    assert Send(FREE) == step((FIRST, OTHER, FREE), short)
    assert Send("d/last:free") == step(chain, short, *[tried(FREE, cause)] * 3)
    assert isinstance(step(chain[:3], short, *[tried(FREE, cause)] * 3), GiveUp)


@pytest.mark.parametrize("cause", [Cause.MODEL, Cause.BUSY, Cause.SILENT, Cause.LOST], ids=lambda cause: cause.value)
def test_free_day_is_over(cause: Cause) -> None:
    """Once the free tier's day is used up no free model is tried, also after another failure."""
    chain = (FREE, FIRST, "d/second:free", OTHER)
    used_up = tried(FREE, Cause.DAILY)

    assert Send(OTHER) == step((FREE, "d/second:free", OTHER), used_up)
    assert Send(OTHER) == step(chain, used_up, *[tried(FIRST, cause)] * 3)
    assert isinstance(step(chain[:3], used_up, *[tried(FIRST, cause)] * 3), GiveUp)


def test_neither_money_nor_free_requests() -> None:
    """Without money and without free requests nothing is left."""
    chain = (FIRST, FREE, OTHER, "d/last:free")

    assert isinstance(step(chain, tried(FIRST, Cause.MONEY), tried(FREE, Cause.DAILY)), GiveUp)


def test_what_is_free_is_told_by_the_plan() -> None:
    """The plan knows which models are free; a name is only its first guess."""
    plan = Plan((FIRST, FREE, OTHER), free_of=lambda model: model == OTHER)

    assert Send(OTHER) == step(plan, tried(FIRST, Cause.MONEY))


@pytest.mark.parametrize(
    ("sizes", "follows"),
    [
        pytest.param({FIRST: 8, OTHER: 8, FREE: 9}, FREE, id="larger"),
        pytest.param({FIRST: 8, OTHER: 9, FREE: 10}, OTHER, id="in order"),
        pytest.param({FIRST: 8, OTHER: 4, FREE: 8}, None, id="none larger"),
        pytest.param({OTHER: 4, FREE: 8}, OTHER, id="own size unknown"),
        pytest.param({FIRST: 8, OTHER: 4}, FREE, id="size of another unknown"),
    ],
)
def test_too_long(sizes: dict[str, int], follows: str | None) -> None:
    """A prompt that does not fit is only sent to a model that takes more, as far as that is known."""
    plan = Plan((FIRST, OTHER, FREE), context_of=sizes.get)
    failed = tried(FIRST, Cause.TOO_LONG)

    assert (Send(follows) if follows else GiveUp(failed.error)) == step(plan, failed)


def test_too_long_stays_too_long() -> None:
    """What was too long for a model stays so after another failure."""
    sizes = {FIRST: 8, OTHER: 16, FREE: 4, "d/last": 12}
    plan = Plan(tuple(sizes), context_of=sizes.get)

    assert Send("d/last") == step(plan, tried(FIRST, Cause.TOO_LONG), tried(OTHER, Cause.MODEL))


@pytest.mark.parametrize(
    ("model", "fallbacks", "models"),
    [
        pytest.param("a/b", [], ("a/b",), id="alone"),
        pytest.param("a/b", ["c/d", "e/f"], ("a/b", "c/d", "e/f"), id="chain"),
        pytest.param("", ["c/d", "e/f"], ("c/d", "e/f"), id="only models"),
        pytest.param("a/b", ["a/b"], ("a/b",), id="itself again"),
        pytest.param("a/b", ["c/d", "a/b", "c/d"], ("a/b", "c/d"), id="duplicates"),
        pytest.param("a/b", ["a/b:free"], ("a/b", "a/b:free"), id="variant"),
        pytest.param("openrouter/auto", [], ("openrouter/auto",), id="router"),
        pytest.param("openrouter/auto", ["openrouter/auto"], ("openrouter/auto",), id="router twice"),
        pytest.param("", ["openrouter/free"], ("openrouter/free",), id="router in models"),
        pytest.param(
            "a/0", [f"a/{at}" for at in range(10)], tuple(f"a/{at}" for at in range(10)), id="ten and one twice"
        ),
    ],
)
def test_models(model: str, fallbacks: list[str], models: tuple[str, ...]) -> None:
    """A chain is the model and then the others in their order, each once."""
    assert models == models_of(model, fallbacks)


@pytest.mark.parametrize(
    ("model", "fallbacks", "words"),
    [
        pytest.param("a/0", [f"a/{at}" for at in range(1, 11)], "at most 10 models; this one has 11", id="eleven"),
        pytest.param("", [f"a/{at}" for at in range(11)], "at most 10 models", id="eleven in models"),
        pytest.param("openrouter/auto", ["a/b"], "openrouter/auto chooses the model itself", id="router first"),
        pytest.param("a/b", ["openrouter/auto"], "openrouter/auto chooses the model itself", id="router later"),
        pytest.param("", ["a/b", "openrouter/pareto-code"], "openrouter/pareto-code", id="router in models"),
    ],
)
def test_models_that_are_no_chain(model: str, fallbacks: list[str], words: str) -> None:
    """A chain that cannot be run is refused with its reason."""
    with pytest.raises(BadRequest, match=words) as refused:
        models_of(model, fallbacks)

    assert "models" == refused.value.param


NAMES = [f"a/{at}{suffix}" for at in range(6) for suffix in ("", ":free")]
PLANS = st.builds(
    lambda models, sizes, ambiguous: Plan(tuple(models), retry_ambiguous=ambiguous, context_of=sizes.get),
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=10, unique=True),
    st.dictionaries(st.sampled_from(NAMES), st.integers(1, 4)),
    st.booleans(),
)
OFTEN_REPEATED = [Cause.UNSENT, Cause.BUSY, Cause.BROKEN]
OUTCOMES = st.tuples(st.sampled_from([*Cause, *OFTEN_REPEATED * 4]), st.none() | st.integers(0, 40))


def open_to(plan: Plan, history: list[Tried]) -> set[str]:
    """The untried models that the rules still allow, in the plainest words."""
    left = set(plan.models) - {each.model for each in history}
    for each in history:
        if each.cause in FINAL:
            return set()
        if each.cause is Cause.MONEY:
            left = {model for model in left if model.endswith(":free")}
        if each.cause is Cause.DAILY:
            left = {model for model in left if not model.endswith(":free")}
        if each.cause is Cause.TOO_LONG:
            size = plan.context_of(each.model)
            left = {model for model in left if (plan.context_of(model) or 9) > (size or 0)}
    return left


def check(plan: Plan, history: list[Tried], sent: Send) -> None:
    """Everything the rules say of one more send."""
    assert sent.model in plan.models
    assert sent.wait_s >= 0
    assert len(history) < 12
    assert Counter(each.model for each in history)[sent.model] < 3
    if not history:
        assert sent.wait_s == 0
        return
    last = history[-1]
    left = open_to(plan, history)
    assert last.cause not in FINAL
    if sent.model != last.model:
        assert sent.model in left
        assert sent.wait_s == 0
        return
    assert sent.wait_s <= (5 if left else 30)
    assert last.cause in {*OFTEN_REPEATED, *AMBIGUOUS}
    assert last.cause not in AMBIGUOUS or (plan.retry_ambiguous and not plan.is_chain)
    broken = [each for each in history if each.model == sent.model and each.cause is Cause.BROKEN]
    assert last.cause is not Cause.BROKEN or len(broken) == 1
    if last.cause is Cause.BUSY and last.error.retry_after_s is not None:
        assert sent.wait_s == last.error.retry_after_s


@given(
    PLANS,
    st.lists(OUTCOMES, min_size=13, max_size=13),
    st.lists(st.sets(st.sampled_from(NAMES)), min_size=13, max_size=13),
    st.floats(0, 1),
    st.floats(1, 400),
)
@settings(quick, max_examples=300)
def test_walk(
    plan: Plan, outcomes: list[tuple[Cause, int | None]], resting: list[set[str]], jitter: float, left_s: float
) -> None:
    """However a call fails, each of its sends keeps every rule, it ends, and no model is left out without reason."""
    history: list[Tried] = []
    while isinstance(
        follows := next_step(plan, tuple(history), left_s=left_s, jitter=jitter, resting=resting[len(history)]), Send
    ):
        check(plan, history, follows)
        left_s -= follows.wait_s
        assert left_s > 0
        history.append(tried(follows.model, *outcomes[len(history)]))

    assert history
    assert history[-1].error is follows.error
    assert len(history) == 12 or not open_to(plan, history)


def test_clamp_once() -> None:
    """What cannot be paid for is asked once more with the tokens that can be, before any other model is."""
    plan = Plan(("a/b", "c/d:free"), clamp=True)
    error = InsufficientCredits("too dear", details={"affordable_max_tokens": 300})
    first = Tried("a/b", Cause.MONEY, error, Phase.HEADERS, 0.1)

    assert Send("a/b", max_tokens=300) == next_step(plan, (first,), left_s=100, jitter=0.5)
    assert Send("c/d:free") == next_step(plan, (first, first), left_s=100, jitter=0.5)


@pytest.mark.parametrize("affordable", [None, 0, 15, "300"])
def test_clamp_needs_tokens(affordable: object) -> None:
    """Without a figure, or with too few tokens for any provider, there is nothing to ask for."""
    error = InsufficientCredits("too dear", details={"affordable_max_tokens": affordable})
    first = Tried("a/b", Cause.MONEY, error, Phase.HEADERS, 0.1)

    assert GiveUp(error) == next_step(Plan(("a/b",), clamp=True), (first,), left_s=100, jitter=0.5)
    assert GiveUp(error) == next_step(Plan(("a/b",)), (first,), left_s=100, jitter=0.5)
