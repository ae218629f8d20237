from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal

import pytest

from tests.tray.builders import AT, MARKS, PLACE, failed, reading, usage
from tests.tray.fakes import (
    FakeClock,
    MemoryNotebook,
    RecordingDesk,
    RecordingNotifier,
    RecordingShell,
    ScriptedGateway,
    ScriptedLauncher,
    ScriptedLogin,
)
from tray.artwork import draw
from tray.conductor import ACTIVITY_PAGE, CREDITS_PAGE, KEYS_PAGE, Conductor
from tray.figures import Health, Notice
from tray.notebook import Notes
from tray.reading import Reading, Trouble
from tray.state import State
from tray.warnings import Memory

BUDGET = Notice(9, AT + 1, "alert", "budget.exceeded", "agent has used up its budget of $5.00 a day.",
                {"app": "agent", "period": "day"})  # fmt: skip


@dataclass
class Stage:
    """A conductor among recording ports."""

    shell: RecordingShell = field(default_factory=RecordingShell)
    notifier: RecordingNotifier = field(default_factory=RecordingNotifier)
    gateway: ScriptedGateway = field(default_factory=lambda: ScriptedGateway(reading()))
    launcher: ScriptedLauncher = field(default_factory=ScriptedLauncher)
    login: ScriptedLogin = field(default_factory=ScriptedLogin)
    desk: RecordingDesk = field(default_factory=RecordingDesk)
    notebook: MemoryNotebook = field(default_factory=MemoryNotebook)
    clock: FakeClock = field(default_factory=FakeClock)
    refreshed: list[bool] = field(default_factory=list)
    well: list[None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.conductor = Conductor(
            shell=self.shell,
            notifier=self.notifier,
            gateway=self.gateway,
            launcher=self.launcher,
            login=self.login,
            desk=self.desk,
            notebook=self.notebook,
            clock=self.clock,
            marks=MARKS,
            refresh=self.refreshed.append,
            on_well=lambda: self.well.append(None),
        )

    def take(self, *readings: Reading, every_s: float = 60) -> None:
        """These looks, one after another."""
        for one in readings:
            self.conductor.take(replace(one, at=self.clock.wall))
            self.clock.pass_(every_s)

    @property
    def state(self) -> State:
        found = self.conductor.snapshot
        assert found is not None
        return found.state


@pytest.fixture(autouse=True)
def _in_berlin() -> Iterator[None]:
    """Moments are told in local time, which is Berlin's here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def stage() -> Stage:
    """A stage after one look, at which all was well."""
    made = Stage()
    made.take(reading())
    return made


def test_shows_icon_title_and_rows(stage: Stage) -> None:
    """After a look the tray shows the balance in icon, title and rows, all of the same look."""
    image, title, rows = stage.shell.shown[0]

    assert draw(State.OK, "17").tobytes() == image.tobytes()
    assert "orgate: $17.58 is left at OpenRouter · today $0.00" == title
    assert "$17.58 left of $25.00" == rows[0].text


def test_shows_only_what_changed(stage: Stage) -> None:
    """Looks that bring nothing new show nothing anew; new rows come with the same picture."""
    stage.take(*[reading()] * 50)
    assert 1 == len(stage.shell.shown)

    stage.take(reading(today=usage({"editor": "0.10"})))
    assert 2 == len(stage.shell.shown)
    assert stage.shell.shown[0][0] is stage.shell.shown[1][0]


def test_one_warning(stage: Stage) -> None:
    """A falling balance turns the icon and brings exactly one message; a top-up takes both back."""
    stage.take(*[reading("4.20")] * 10, reading("14.20", total="35"))

    assert ["balance"] == stage.notifier.keys()
    assert [State.OK, State.LOW, State.OK] == [
        State.LOW if "Little" in title else State.OK for _, title, _ in stage.shell.shown
    ]
    assert ["balance"] == stage.notifier.closed


def test_no_warning_after_a_restart() -> None:
    """A tray that is started again does not repeat what was said, since it was written down."""
    first = Stage()
    first.take(reading("4.20"))
    second = Stage(notebook=first.notebook)
    second.take(reading("4.10"))

    assert [] == second.notifier.sent


def test_top_up(stage: Stage) -> None:
    """Top up opens the page, has OpenRouter asked more often, and says when the purchase came."""
    stage.conductor.act("top_up")
    stage.gateway.reading = reading("27.58", total="35")

    assert [CREDITS_PAGE] == stage.desk.opened
    assert 20 == stage.conductor.hurry_s()
    stage.take(stage.conductor.look(False))
    assert [True] == stage.gateway.forced
    assert ["top_up"] == stage.notifier.keys()
    assert stage.conductor.hurry_s() is None
    stage.conductor.look(False)
    assert [True, False] == stage.gateway.forced


def test_top_up_that_never_comes(stage: Stage) -> None:
    """Who went to buy and did not is not waited for without end."""
    stage.conductor.act("top_up")
    stage.clock.pass_(3600)

    assert stage.conductor.hurry_s() is None


def test_snooze(stage: Stage) -> None:
    """A snooze from the message or the menu keeps quiet, shows in the menu, and can be ended there."""
    stage.take(reading("4.20"))
    stage.conductor.act("snooze:1h")
    assert "Snoozed until 15:07: warn again" in stage.shell.texts()
    stage.take(reading("0.40"))
    assert ["balance"] == stage.notifier.keys()
    stage.conductor.act("snooze:off")
    stage.take(reading("0.40"))

    assert ["balance", "balance"] == stage.notifier.keys()


def test_switches(stage: Stage) -> None:
    """Programs are paused, resumed and their calls ended by the rows, and the new state is looked at at once."""
    for action in ("pause", "pause:my agent:2", "resume:my agent:2", "resume", "end"):
        stage.conductor.act(action)

    assert ["pause *", "pause my agent:2", "resume my agent:2", "resume *", "end *"] == stage.gateway.asked
    assert [False] * 5 == stage.refreshed
    assert ["2 running calls ended."] == [one.body for one in stage.notifier.sent]


def test_kill_switch_that_fails(stage: Stage) -> None:
    """Whoever pauses programs hears of it when that did not work."""
    stage.gateway.refuses = True
    stage.conductor.act("pause")

    assert [("action", "Pausing did not work")] == [(one.key, one.title) for one in stage.notifier.sent]
    assert any("Pausing did not work: No gateway is running." in text for text in stage.shell.texts())


def test_open(stage: Stage) -> None:
    """Open shows the gateway's own page where it has one, else OpenRouter's."""
    stage.conductor.act("open")
    stage.gateway.page = True
    stage.conductor.act("open")
    stage.conductor.act("keys")

    assert [ACTIVITY_PAGE, f"{PLACE}/", KEYS_PAGE] == stage.desk.opened


def test_rows_that_only_tell(stage: Stage) -> None:
    """A row that only tells something opens the page with more, and changes nothing."""
    before = len(stage.shell.shown)
    stage.conductor.act("")

    assert (before, [ACTIVITY_PAGE], []) == (len(stage.shell.shown), stage.desk.opened, stage.notifier.sent)


@pytest.mark.parametrize(
    ("works", "title", "advice"),
    [
        (True, "Address copied", ""),
        (False, "There is no program that copies texts", "\nInstall wl-copy, xclip or xsel."),
    ],
)
def test_copy(stage: Stage, works: bool, title: str, advice: str) -> None:
    """The address is copied, or shown where nothing can copy it, with what could."""
    stage.desk.works = works
    stage.conductor.act("copy")

    assert [f"{PLACE}/v1"] == stage.desk.copied
    assert (title, f"{PLACE}/v1{advice}") == (stage.notifier.sent[0].title, stage.notifier.sent[0].body)


def test_no_browser(stage: Stage) -> None:
    """Without a browser the address of the page is shown."""
    stage.desk.works = False
    stage.conductor.act("top_up")

    assert CREDITS_PAGE == stage.notifier.sent[0].body


def test_hide_amounts(stage: Stage) -> None:
    """Hidden amounts show nowhere, and the choice is kept."""
    stage.conductor.act("hide")
    stage.take(reading("4.20"))

    assert not any("$" in text for text in [stage.shell.title, *stage.shell.texts()])
    assert "$" not in stage.notifier.sent[0].body
    assert stage.notebook.notes.hide_amounts


def test_start_at_login(stage: Stage) -> None:
    """Starting at login is switched by its row, and where it cannot be, that is said."""
    stage.conductor.act("login")
    assert stage.login.enabled
    stage.conductor.act("login")
    assert not stage.login.enabled
    stage.login.broken = True
    stage.conductor.act("login")

    assert ["action"] == stage.notifier.keys()


def test_start_the_gateway() -> None:
    """A gateway that is down can be started; while it starts it is looked for every second."""
    stage = Stage()
    stage.take(failed(Trouble.DOWN))
    assert "start" in stage.shell.actions()
    stage.conductor.act("start")

    assert ["start"] == stage.launcher.asked
    assert 1 == stage.conductor.hurry_s()
    stage.take(reading())
    assert stage.conductor.hurry_s() is None
    assert "stop" in stage.shell.actions()


def test_gateway_that_does_not_start() -> None:
    """When the gateway that was started ends with an error, its last words are shown."""
    stage = Stage()
    stage.conductor.act("start")
    stage.launcher.ended = "There is no OpenRouter key."
    stage.take(failed(Trouble.DOWN))

    assert ("The gateway ended with an error", "There is no OpenRouter key.") == (
        stage.notifier.sent[0].title,
        stage.notifier.sent[0].body,
    )


def test_stop_is_no_news(stage: Stage) -> None:
    """A gateway that its owner stopped from the menu is not reported as down, also when it takes a while to end."""
    stage.launcher.runs = True
    stage.conductor.act("stop")
    stage.take(reading(), *[failed(Trouble.DOWN)] * 5, every_s=1)

    assert ["stop"] == stage.launcher.asked
    assert (State.OFFLINE, []) == (stage.state, stage.notifier.sent)


def test_others_gateway_is_not_stopped(stage: Stage) -> None:
    """A gateway that others started has no row that would stop it."""
    assert "stop" not in stage.shell.actions()


def test_down_and_up(stage: Stage) -> None:
    """A gateway that goes is reported once with a button to start it, and its return takes the message away."""
    stage.take(*[failed(Trouble.DOWN)] * 5)
    down = stage.notifier.sent
    stage.take(reading())

    assert [("down", ("start", "snooze:1h"))] == [(one.key, one.actions) for one in down]
    assert ["down"] == stage.notifier.closed


@pytest.mark.parametrize(
    "after",
    [failed(Trouble.UNREACHABLE), failed(Trouble.DOWN), reading(stale=True), failed(Trouble.SILENT)],
    ids=["unreachable", "down", "stale", "silent"],
)
def test_after_sleep(stage: Stage, after: Reading) -> None:
    """After sleep nothing is called stale or down before there was time to come back, and nothing is warned of."""
    stage.clock.sleep(600)
    stage.conductor.woke()
    stage.take(*[after] * 10, every_s=5)

    assert State.OK is stage.state
    assert [] == stage.notifier.sent
    assert 5 == stage.conductor.hurry_s()
    stage.take(reading())
    assert stage.conductor.hurry_s() is None


def test_trouble_that_outlasts_sleep(stage: Stage) -> None:
    """What still fails minutes after waking is shown as it is."""
    stage.conductor.woke()
    stage.take(*[failed(Trouble.UNREACHABLE)] * 30, every_s=5)

    assert State.STALE is stage.state


def test_budget_notice(stage: Stage) -> None:
    """A budget that was hit is told when the gateway announces it, and stays in the menu as the last problem."""
    stage.conductor.hear(BUDGET)
    stage.conductor.hear(BUDGET)
    stage.take(reading())

    assert ["budget:agent:day"] == stage.notifier.keys()
    assert [False] == stage.refreshed
    assert 9 == stage.conductor.last_notice
    assert "Last problem: 14:05 agent has used up its budget of $5.00 a day." in stage.shell.texts()


def test_history_is_not_news() -> None:
    """What happened before the tray was ever there is shown in the menu, without a message."""
    stage = Stage()
    stage.conductor.hear(replace(BUDGET, at=AT - 600))
    stage.take(reading())

    assert ([], 9) == (stage.notifier.sent, stage.conductor.last_notice)
    assert any("Last problem: 13:55" in text for text in stage.shell.texts())


def test_missed_while_away() -> None:
    """What was announced while a tray that has been there before was not running is told."""
    stage = Stage(notebook=MemoryNotebook(Notes(memory=Memory(last_notice=5))))
    stage.conductor.hear(replace(BUDGET, at=AT - 600))

    assert ["budget:agent:day"] == stage.notifier.keys()


def test_health_in_the_menu(stage: Stage) -> None:
    """What ails the gateway while it answers is told in the menu."""
    stage.take(reading(health=Health(None, None, ("openai/gpt-4o", "x/y"))))
    assert "Last problem: openai/gpt-4o and 1 more failed, passed over for a while" in stage.shell.texts()
    stage.take(reading(health=Health("The catalogue is out of date.", None, ())))
    assert "Last problem: The catalogue is out of date." in stage.shell.texts()


def test_listens_again_when_well(stage: Stage) -> None:
    """Each look that went well is a chance to listen again; those after sleep that did not are none."""
    stage.conductor.woke()
    stage.take(failed(Trouble.DOWN), failed(Trouble.DOWN))

    assert 1 == len(stage.well)


def test_secrets_are_looked_for_often(stage: Stage) -> None:
    """While a key or a token is missing it is looked every half minute: the owner is about to mend it."""
    stage.take(failed(Trouble.NO_KEY))

    assert 30 == stage.conductor.hurry_s()


def test_unknown_balance_is_never_nothing() -> None:
    """An unknown balance is a question mark, and no warning."""
    stage = Stage()
    stage.take(reading(None))

    assert [] == stage.notifier.sent
    assert draw(State.OK, "?").tobytes() == stage.shell.shown[0][0].tobytes()


def test_quit(stage: Stage) -> None:
    """Quit takes the icon away and leaves the gateway alone."""
    stage.launcher.runs = True
    stage.conductor.act("quit")

    assert (1, []) == (stage.shell.stopped, stage.launcher.asked)


def test_notes_that_cannot_be_written(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """Without a place to write its notes the tray goes on, and says so in its log."""

    class Full(MemoryNotebook):
        def write(self, notes: Notes) -> None:
            raise OSError("disk full")

    made = Stage(notebook=Full())
    made.take(reading("4.20"), reading("4.20"))

    assert ["balance"] == made.notifier.keys()
    assert "tray.notes_lost" in caplog.text
    assert Decimal("4.20") == (made.conductor.snapshot and made.conductor.snapshot.amount.dollars)  # type: ignore[union-attr]
