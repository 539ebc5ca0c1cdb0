"""Progress and time left of `swinir-jax restore`, on a terminal and in logs."""

import contextlib
import io
import re
import sys
import threading

import pytest
from picture_files import put

from swinir_jax import InputError
from swinir_jax.cli import display
from swinir_jax.cli.main import main
from swinir_jax.inference import engine, programs


class Terminal(io.StringIO):
    """Keeps what is drawn, and wakes the test when the text shows."""

    def __init__(self, text):
        super().__init__()
        self.shows, self._text = threading.Event(), text

    def isatty(self):
        return True

    def write(self, text):
        super().write(text)
        if re.search(self._text, self.getvalue()):
            self.shows.set()
        return len(text)


def test_progress_and_time_left_are_drawn_while_a_whole_image_is_restored(model, monkeypatch):
    monkeypatch.setattr(display, "_REFRESH_SECONDS", 0.01)
    monkeypatch.setattr(display, "measured_pace", lambda config: 1e-6)
    terminal = Terminal(r"[1-9]% \|.{10}\| in/a\.png, 1 of 2, about [1-9]\d* (s|min|h) left")
    monkeypatch.setattr(sys, "stderr", terminal)
    original = engine.Engine.run

    def waiting(self, batch):
        assert terminal.shows.wait(20)
        return original(self, batch)

    monkeypatch.setattr(engine.Engine, "run", waiting)
    put("in/a.png"), put("in/b.png")
    assert main(["restore", "in", "--model", model, "--tile", "0"]) == 0
    assert not [thread for thread in threading.enumerate() if "draw" in thread.name]


def test_the_bar_says_that_a_network_is_prepared(model, monkeypatch):
    monkeypatch.setattr(display, "_REFRESH_SECONDS", 0.01)
    terminal = Terminal(r"\| a\.png, preparing the network for pictures of this size")
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(display.Display, "_draw", lambda self, bar, draw=display.Display._draw: draw(self, wide(bar)))
    original = programs.Programs.compiled

    def waiting(self, shape):
        assert terminal.shows.wait(20)
        return original(self, shape)

    monkeypatch.setattr(programs.Programs, "compiled", waiting)
    assert main(["restore", put("a.png"), "--model", model, "--tile", "32"]) == 0


def wide(bar):
    bar.dynamic_ncols, bar.ncols = None, 200
    return bar


def test_a_long_name_is_cut_visibly():
    assert display._shown("in/photo.jpg") == "in/photo.jpg"
    assert display._shown("photographs/2019/summer/IMG_0001.jpg") == "…019/summer/IMG_0001.jpg"


@pytest.mark.parametrize("options", [["--quiet"], []])
def test_nothing_flickers_without_a_terminal_or_when_quiet(model, monkeypatch, options):
    monkeypatch.setattr(display, "_REFRESH_SECONDS", 0.001)
    terminal = Terminal("never")
    if not options:
        terminal.isatty = lambda: False
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main(["restore", put("a.png"), "--model", model, *options]) == 0
    assert not re.search(r"\r|%|about", terminal.getvalue())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "about 1 s"), (89, "about 89 s"), (95, "about 2 min"), (5000, "about 83 min"), (9000, "about 2 h")],
)
def test_times_are_rounded(seconds, text):
    assert display._about(seconds) == text


def test_progress_is_logged_where_there_is_no_terminal(model, monkeypatch):
    monkeypatch.setattr(display, "_LOG_SECONDS", 0.01)
    original = engine.Engine.run
    logged = threading.Event()
    monkeypatch.setattr(display.logger, "info", lambda *values: lines.append(values[0] % values[1:]) or logged.set())
    lines = []

    def waiting(self, batch):
        logged.clear()
        assert logged.wait(20)
        return original(self, batch)

    monkeypatch.setattr(engine.Engine, "run", waiting)
    put("in/a.png"), put("in/b.png")
    assert main(["restore", "in", "--model", model]) == 0
    assert any(re.fullmatch(r"\d+ %: in/a\.png, 1 of 2(, .*)?", line) for line in lines)
    assert any(re.fullmatch(r"[1-9]\d %: in/b\.png, 2 of 2, .*about \d+ \w+ left", line) for line in lines)
    lines.clear()
    monkeypatch.setattr(engine.Engine, "run", original)
    assert main(["restore", "in", "--model", model, "--quiet", "--out", "again"]) == 0
    assert lines == []


class Stub:
    """Restorer whose work is known."""

    def work(self, size):
        return float(size[0] * size[1])

    def tile_works(self, size):
        return [self.work(size)]


def test_the_first_of_several_pictures_is_shown_until_it_ends_or_fails(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    shown = display.Display()
    with shown.drawing([Stub(), Stub()], [(1, 1), (2, 1), (3, 1)]):
        with shown.picture(1, 1, "b", (2, 1)):
            with contextlib.suppress(InputError), shown.picture(0, 0, "a", (1, 1)):
                shown.advance(0, 0, 1)
                assert shown._estimate() == (0, "a, 1 of 3")
                raise InputError("broken")
            shown.advance(1, 0, 1)
            shown.advance(1, 1, 1)
            finished, text = shown._estimate()
            assert (round(finished, 6), text) == (0.5, "b, 2 of 3")
        assert not shown._running
