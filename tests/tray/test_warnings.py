from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.quick import quick
from tests.tray.builders import AT, MARKS, NOW, failed, reading, seen, usage
from tray.figures import Health, Notice
from tray.reading import Reading, Trouble
from tray.state import Snapshot, judge
from tray.warnings import Decision, Memory, Past, Snooze, decide, hear, snooze_text, snoozed

HOUR = timedelta(hours=1)
UP = Past(was_up=True, was_well=True)


class Story:
    """What is said while looks follow one another, a minute apart."""

    def __init__(self, past: Past = UP) -> None:
        self.memory, self.past, self.now = Memory(), past, NOW
        self.snapshot: Snapshot | None = None
        self.last = Decision(self.memory)

    def look(self, one: Reading, **when: Any) -> list[str]:
        """The keys of the messages after one more look; `when` is the time since the last one."""
        self.now += timedelta(**(when or {"minutes": 1}))
        self.snapshot = judge(one, self.snapshot, MARKS)
        self.last = decide(self.memory, self.snapshot, self.past, self.now)
        self.memory = self.last.memory
        return [message.key for message in self.last.send]

    def balances(self, *amounts: str) -> list[int]:
        """How many messages each of these balances brings."""
        return [len(self.look(reading(amount))) for amount in amounts]


@pytest.mark.parametrize(
    ("balances", "said"),
    [
        pytest.param("10 5 4.99", "001", id="below the mark, not at it"),
        pytest.param("4 3 4.99 2", "1000", id="once per episode"),
        pytest.param("4 0.5", "11", id="each mark"),
        pytest.param("0.5 0.4", "10", id="one for two marks at once"),
        pytest.param("0.5 1.1 0.5", "100", id="no rise above 120 %"),
        pytest.param("4 6 4", "100", id="exactly 120 %"),
        pytest.param("4 6.01 4", "101", id="a new episode"),
        pytest.param("-1 -2", "10", id="overdrawn"),
    ],
)
def test_episodes(balances: str, said: str) -> None:
    """A mark is warned of once until the balance has risen above 120 % of it."""
    story = Story()

    assert list(map(int, said)) == [len(story.look(reading(amount, total=None))) for amount in balances.split()]


def test_low_then_critical() -> None:
    """Low is an ordinary message, the last mark a critical one; both offer to top up, to open, and to snooze."""
    story = Story()
    story.look(reading("4.20", per_hour="0.5", ends_at=AT + 8 * 3600))
    low = story.last.send[0]
    story.look(reading("0.40"))
    critical = story.last.send[0]

    assert ("Credits are low", "normal") == (low.title, low.urgency)
    assert "$4.20 is left at OpenRouter. At this pace it lasts until about 22:00." == low.body
    assert ("Almost no credits are left", "critical") == (critical.title, critical.urgency)
    assert ["top_up", "open", "snooze:1h"] == [action for action, _ in low.buttons]
    assert low.key == critical.key


def test_unknown_says_nothing() -> None:
    """An unknown balance, stale figures or a gateway that is gone neither warn of money nor end an episode."""
    story = Story()

    assert [] == story.look(reading(None))
    assert ["balance"] == story.look(reading("4"))
    assert [] == story.look(reading("0.5", stale=True))
    assert [] == story.look(failed(Trouble.UNREACHABLE))
    assert [] == story.look(reading("4"))


def test_marks_are_not_repeated_over_a_restart() -> None:
    """With the memory kept, a new process does not repeat a warning."""
    story = Story()
    story.look(reading("4"))
    again = Story(Past())
    again.memory = story.memory

    assert [] == again.look(reading("4"))


def test_snooze_for_an_hour() -> None:
    """A snooze keeps all quiet for its hour; what still holds then is said again, once."""
    story = Story()
    story.look(reading("4"))
    story.memory = snoozed(story.memory, "1h", story.now)

    assert [] == story.look(reading("0.5"))
    assert [] == story.look(reading("0.5", unusual=True))
    assert [] == story.look(reading("0.5"), minutes=57)
    assert ["balance"] == story.look(reading("0.5"), minutes=5)
    assert [] == story.look(reading("0.5"))


def test_snooze_until_tomorrow() -> None:
    """Tomorrow begins at eight in the morning, by the clock on the wall."""
    memory = snoozed(Memory(), "tomorrow", NOW)

    assert "until 23 Nov 08:00" == snooze_text(memory, NOW)


def test_snooze_until_top_up() -> None:
    """Until the next top-up all about money is quiet, and nothing else is; the top-up ends snooze and episode."""
    story = Story()
    story.look(reading("4"))
    story.memory = snoozed(story.memory, "topup", story.now)

    assert [] == story.look(reading("0.5"), days=3)
    story.look(failed(Trouble.KEY_REFUSED))
    assert ["key"] == story.look(failed(Trouble.KEY_REFUSED))
    assert [] == story.look(reading("20.5", total="45"))
    assert story.memory.snooze is None
    assert ["balance"] == story.look(reading("4", total="45"))


def test_small_top_up() -> None:
    """After a top-up that leaves the balance below a mark, that mark needs no new word, but the lower one does."""
    story = Story()
    story.look(reading("0.5", total="25"))

    assert [] == story.look(reading("1.1", total="25.6"))
    assert ["balance"] == story.look(reading("0.9", total="25.6"))


def test_top_up_seen() -> None:
    """A purchase is confirmed to who went to buy, takes the warning away, and is said once."""
    story = Story()
    story.look(reading("4", total="25"))
    story.memory = replace(story.memory, top_up_since=story.now.timestamp())

    assert [] == story.look(reading("3.9", total="25"))
    assert ["top_up"] == story.look(reading("13.9", total="35"))
    assert "$10.00 came in; $13.90 is left at OpenRouter." == story.last.send[0].body
    assert ("balance",) == story.last.close
    assert [] == story.look(reading("13.9", total="35"))
    assert [] == story.look(reading("23.9", total="45"))


def test_gateway_down() -> None:
    """A gateway that was up is missed once, after a second look, and its return takes the message away."""
    story = Story()

    assert [] == story.look(failed(Trouble.DOWN))
    assert ["down"] == story.look(failed(Trouble.DOWN))
    assert [] == story.look(failed(Trouble.DOWN))
    assert [] == story.look(reading())
    assert ("down",) == story.last.close
    story.look(failed(Trouble.SILENT))
    assert ["down"] == story.look(failed(Trouble.SILENT))


def test_never_up_is_not_down() -> None:
    """At login, before the gateway has ever answered, nothing is missed."""
    story = Story(Past())

    assert [[], [], []] == [story.look(failed(Trouble.DOWN)) for _ in range(3)]


def test_restart_is_no_news() -> None:
    """A gateway that is back at the next look was not missed."""
    story = Story()

    assert [[], [], []] == [story.look(one) for one in (failed(Trouble.DOWN), reading(), failed(Trouble.DOWN))]


def test_key_refused() -> None:
    """A refused key is told once, as critical, with the page for keys; figures of now end it."""
    story = Story(Past())
    story.look(failed(Trouble.KEY_REFUSED))

    assert ["key"] == story.look(failed(Trouble.KEY_REFUSED))
    assert ("critical", "keys") == (story.last.send[0].urgency, story.last.send[0].buttons[0][0])
    assert [] == story.look(failed(Trouble.DOWN))
    assert [] == story.look(reading())
    assert ("key",) == story.last.close


def test_no_key_yet() -> None:
    """That there is no key is told to whom had one; who has yet to give one sees it in the icon."""
    fresh, old = Story(Past(was_up=True)), Story()
    for story in (fresh, old):
        story.look(failed(Trouble.NO_KEY))

    assert [] == fresh.look(failed(Trouble.NO_KEY))
    assert ["key"] == old.look(failed(Trouble.NO_KEY))


def test_refused_for_money() -> None:
    """With an unknown balance a refusal for want of money is the warning."""
    story = Story()

    assert ["refused"] == story.look(reading(None, health=Health(None, "payment_required", ())))
    assert [] == story.look(reading(None))
    assert ("refused",) == story.last.close


def test_cap() -> None:
    """A key's cap that is nearly used up is told as a cap."""
    story = Story()

    assert ["cap"] == story.look(reading(None, cap=("0.9", "20", "daily")))
    assert "Key cap: $0.90 of $20.00 left, new every day." == story.last.send[0].body


def test_budget() -> None:
    """A program that has used up its budget is told of once per period, whether a look or a notice shows it."""
    story = Story()
    spent = reading(today=usage(budgets=(("agent", "day", "5", "0"),)))
    notice = Notice(7, AT, "alert", "budget.exceeded", "agent has used up its budget of $5.00 a day.",
                    {"app": "agent", "period": "day"})  # fmt: skip

    heard = hear(story.memory, notice, NOW)
    story.memory = heard.memory

    assert ["budget:agent:day"] == [message.key for message in heard.send]
    assert 7 == heard.memory.last_notice
    assert () == hear(story.memory, replace(notice, id=8), NOW).send
    assert [] == story.look(spent)
    assert [] == story.look(reading(today=usage(budgets=(("agent", "day", "5", "5"),))))
    assert ["budget:agent:day"] == story.look(spent)
    assert "agent has used up its budget of $5.00 a day." == story.last.send[0].body


def test_unusual_spending() -> None:
    """Spending far above the usual is told once, and again only after it was normal and hours have passed."""
    story = Story()

    assert ["pace"] == story.look(reading(unusual=True, last_hour="3.20"))
    assert "The last hour cost $3.20, far more than usual." == story.last.send[0].body
    assert [] == story.look(reading(unusual=True))
    assert [] == story.look(reading(unusual=False))
    assert [] == story.look(reading(unusual=True))
    assert [] == story.look(reading(unusual=False), hours=7)
    assert ["pace"] == story.look(reading(unusual=True))


def test_a_click_stops_nothing() -> None:
    """A click on a message counts as its first button, so that is never the one that stops programs."""
    story = Story()
    story.look(reading("0.5", unusual=True, free=(48, 50, 2), today=usage(budgets=(("a", "day", "1", "0"),))))

    assert 4 == len(story.last.send)
    assert "pause" not in [message.buttons[0][0] for message in story.last.send]


def test_free_requests() -> None:
    """Free requests are warned of at a tenth left, and not to those who use none."""
    story = Story()

    assert [] == story.look(reading(free=(0, 0, 0)))
    assert [] == story.look(reading(free=(44, 50, 6)))
    assert ["free"] == story.look(reading(free=(45, 50, 5)))
    assert [] == story.look(reading(free=(46, 50, 4)))
    assert [] == story.look(reading(free=(0, 50, 50)))
    assert ["free"] == story.look(reading(free=(48, 50, 2)))


def test_hidden_amounts() -> None:
    """With amounts hidden no message tells one."""
    snapshot = seen(
        reading(
            "0.5",
            cap=("0.4", "20"),
            unusual=True,
            last_hour="3.2",
            today=usage(budgets=(("agent", "day", "5", "0"),)),
        )
    )
    bought = replace(Memory(), bought=Decimal(1), top_up_since=AT)

    said = [
        *decide(Memory(), snapshot, UP, NOW, hidden=True).send,
        *decide(bought, snapshot, UP, NOW, hidden=True).send,
    ]

    assert {"balance", "cap", "pace", "budget:agent:day", "top_up"} == {message.key for message in said}
    assert not any("$" in message.title + message.body for message in said)


amounts = st.decimals(-1, 12, places=2).map(str)


@quick
@given(st.lists(amounts, max_size=20))
def test_no_second_warning_without_a_rise(balances: list[str]) -> None:
    """Between two messages for the same mark the balance was above 120 % of it."""
    story = Story()
    risen = dict.fromkeys(MARKS, True)
    for balance in map(Decimal, balances):
        said = story.look(reading(str(balance), total=None))
        undercut = [mark for mark in MARKS if balance < mark]
        assert bool(said) == any(risen[mark] for mark in undercut)
        risen |= dict.fromkeys(undercut, False) | {mark: True for mark in MARKS if balance * 5 > mark * 6}


@quick
@given(st.lists(amounts, max_size=20))
def test_nothing_while_snoozed(balances: list[str]) -> None:
    """While a snooze lasts nothing is said of money, whatever it does."""
    story = Story()
    story.memory = Memory(snooze=Snooze(None))

    assert [[]] * len(balances) == [story.look(reading(balance, total=None)) for balance in balances]
