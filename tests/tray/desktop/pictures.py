"""
Pictures of the real icon, menu and notification, in a real panel: python -m tests.tray.desktop.pictures [FOLDER]

The whole is real: `orgate-tray` beside `orgate serve` on the sandbox, xfce4-panel, xfce4-notifyd and dunst. Only the
screen is Xvfb.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from PIL import Image

from app.sandbox import Sandbox
from tests.cli.processes import orgate
from tests.tray.desktop.realpanel import SIZE, RealPanel, changed, lacking, real_panel
from tests.tray.desktop.whole import Place, Tray, running_place, running_tray
from tests.waiting import eventually

_HOME = Path(__file__).with_name("pictures")
_MOST_BYTES = 60_000
Box = tuple[int, int, int, int]
_WIDTH, _HEIGHT = SIZE
_BAR = 40
"""The panel's height, in pixels."""

_BELOW = (0, _BAR + 2, _WIDTH, _HEIGHT)
_AWAY = (40, 600)
"""Where the mouse covers nothing."""


def main() -> int:
    """Take all pictures."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else _HOME
    if reason := lacking():
        sys.stderr.write(f"{reason}\n")
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    with _scene(dark=True) as scene:
        _save(scene.menu(), folder / "menu.png")
        _save(scene.notification(), folder / "notification.png")
        pages = scene.press_top_up()
        assert pages == ["https://openrouter.ai/settings/credits"], pages
    with _scene(dark=True, dunst=True) as scene:
        _save(scene.notification(with_panel=True), folder / "dunst.png")
    rows = []
    for dark in (True, False):
        with _scene(dark=dark, dunst=True) as scene:
            rows.append(_beside(list(scene.icons())))
    _save(_below(rows), folder / "icons.png")
    return 0


@contextmanager
def _scene(*, dark: bool, dunst: bool = False) -> Iterator[_Scene]:
    """A desktop with the tray, beside a gateway through which three programs have spent something."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        root = Path(name)
        os.environ["HOME"] = str(root)
        sandbox = stack.enter_context(Sandbox())
        sandbox.account(total_credits="25", total_usage="6.43")
        place = stack.enter_context(running_place(root / "state", sandbox, OPENROUTER_CACHE_TTL_CREDITS="1000"))
        for app, dimes in (("editor", 6), ("notes", 3), ("agent", 1)):
            place.spend(dimes, app)
        panel = stack.enter_context(real_panel(root / "desktop", dark=dark, dunst=dunst))
        panel.point(*_AWAY)
        empty = panel.settled()
        tray = stack.enter_context(running_tray(panel.environment, place.folder))
        yield _Scene(panel, place, tray, empty)


class _Scene:
    """Brings about what is to be seen, and takes the picture."""

    def __init__(self, panel: RealPanel, place: Place, tray: Tray, empty: Image.Image) -> None:
        self._panel = panel
        self._place = place
        self._tray = tray
        self._empty = empty
        # First there is the icon of a tray that has not asked yet, then the one with the balance.
        time.sleep(3)
        bar = (0, 0, _WIDTH - 60, _BAR)
        box = eventually(lambda: changed(empty.crop(bar), panel.shot().crop(bar)))
        assert box is not None
        self._x, self._y = (box[0] + box[2]) // 2, (box[1] + box[3]) // 2

    def menu(self) -> Image.Image:
        """The open menu with a submenu, and the panel above it."""
        closed = self._panel.settled()
        self._panel.point(self._x, self._y, click=1)
        eventually(lambda: changed(closed, self._panel.shot()))
        opened = self._panel.settled()
        box = changed(closed.crop(_BELOW), opened.crop(_BELOW))
        assert box is not None
        self._panel.point((box[0] + box[2]) // 2, 131)
        wide = eventually(self._panel.settled, lambda shot: (changed(closed, shot) or box)[0] < box[0] - 20)
        left, _, _, bottom = changed(closed, wide) or box
        self._panel.key("Escape")
        self._panel.key("Escape")
        self._panel.point(*_AWAY)
        return wide.crop((left - 12, 0, _WIDTH, bottom + 12))

    def notification(self, *, with_panel: bool = False) -> Image.Image:
        """The first warning, and the panel above it."""
        self._place.sandbox.account(total_usage="20.60")
        eventually(self._box)
        time.sleep(1)
        self._panel.settled()
        left, top, right, bottom = self._box() or _BELOW
        place = (left - 12, 0, _WIDTH, bottom + 12) if with_panel else (left, top, right, bottom)
        return self._panel.shot().crop(place)

    def press_top_up(self) -> list[str]:
        """The pages that the warning's first button opens, wherever on it that is."""
        left, _, right, bottom = self._box() or _BELOW
        for x in range(left + 20, right, 30):
            self._panel.point(x, bottom - 24, click=1)
            time.sleep(0.3)
            if self._tray.opened():
                break
        return self._tray.opened()

    def _box(self) -> Box | None:
        """Where something is shown that is not the panel."""
        found = changed(self._empty.crop(_BELOW), self._panel.shot().crop(_BELOW))
        return found and (found[0], found[1] + _BELOW[1], found[2], found[3] + _BELOW[1])

    def icons(self) -> Iterator[Image.Image]:
        """The icon's place in the panel: ok, low, critical, stale, paused, no key, offline."""
        sandbox, state = self._place.sandbox, ("--state-dir", str(self._place.folder))
        yield self._icon()
        for dollars in ("20.60", "24.55"):
            yield self._icon_after(lambda dollars=dollars: sandbox.account(total_usage=dollars))
        yield self._icon_after(sandbox.stop)
        sandbox.start()
        yield self._icon_after(lambda: orgate("pause", *state))
        orgate("resume", *state)
        yield self._icon_after(lambda: sandbox.account(revoked=["a" * 3]))
        yield self._icon_after(self._place.running.process.kill)

    def _icon_after(self, change: Callable[[], object]) -> Image.Image:
        before = self._icon()
        change()
        eventually(self._icon, lambda now: changed(before, now) is not None, 60)
        time.sleep(2)
        return self._icon()

    def _icon(self) -> Image.Image:
        self._panel.point(*_AWAY)
        return self._panel.settled().crop((self._x - 20, 0, self._x + 20, _BAR))


def _beside(pictures: list[Image.Image]) -> Image.Image:
    whole = Image.new("RGB", (sum(one.width for one in pictures), pictures[0].height))
    for number, one in enumerate(pictures):
        whole.paste(one, (number * one.width, 0))
    return whole


def _below(pictures: list[Image.Image]) -> Image.Image:
    whole = Image.new("RGB", (pictures[0].width, sum(one.height for one in pictures)))
    for number, one in enumerate(pictures):
        whole.paste(one, (0, number * one.height))
    return whole


def _save(picture: Image.Image, path: Path) -> None:
    picture.save(path, optimize=True)
    if path.stat().st_size > _MOST_BYTES:
        picture.quantize(64).save(path, optimize=True)
    size = path.stat().st_size
    assert size <= _MOST_BYTES, f"{path} is too large"
    sys.stdout.write(f"{path}: {picture.width} x {picture.height}, {size} bytes\n")


if __name__ == "__main__":
    sys.exit(main())
