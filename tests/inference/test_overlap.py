import threading
import time

import pytest

from swinir_jax import InputError
from swinir_jax.inference.overlap import overlapped

STAGES = ("read", "restore", "write")


class Stages:
    """Three stages that note when an item enters them."""

    def __init__(self, alone=(), failing=()):
        self.alone, self.failing, self.log = alone, failing, []

    def _stage(self, name):
        def run(item):
            self.log.append((name, item))
            time.sleep(0.01)
            if (name, item) in self.failing:
                raise InputError(f"{name} {item}")
            return item

        return run

    def outcomes(self):
        return overlapped(range(3), *map(self._stage, STAGES), lambda item: item in self.alone)


def result(outcome):
    try:
        return outcome()
    except InputError as error:
        return str(error)


def test_the_next_item_is_read_and_the_last_one_written_while_one_is_restored():
    begun = {(stage, item): threading.Event() for stage in ("read", "write") for item in range(3)}

    def restore(item):
        assert threading.current_thread() is threading.main_thread()
        if item == 1:
            assert begun["read", 2].wait(20)
            assert begun["write", 0].wait(20)

    def write(item):
        begun["write", item].set()
        return item

    outcomes = overlapped(range(3), lambda item: begun["read", item].set(), restore, write, lambda item: False)
    assert [outcome() for outcome in outcomes] == [0, 1, 2]


def test_nothing_overlaps_with_an_item_that_is_alone():
    stages = Stages(alone={1})
    assert [outcome() for outcome in stages.outcomes()] == [0, 1, 2]
    assert stages.log == [(stage, item) for item in range(3) for stage in STAGES]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("item", [0, 1, 2])
def test_an_error_concerns_its_item_alone(stage, item):
    stages = Stages(failing={(stage, item)})
    expected = [0, 1, 2]
    expected[item] = f"{stage} {item}"
    assert [result(outcome) for outcome in stages.outcomes()] == expected


def test_what_is_being_written_at_ctrl_c_is_finished_and_counted():
    written, counted = [], []

    def restore(item):
        if item == 1:
            raise KeyboardInterrupt

    def write(item):
        time.sleep(0.05)
        written.append(item)
        return item

    outcomes = overlapped(range(3), lambda item: None, restore, write, lambda item: False)
    with pytest.raises(KeyboardInterrupt):
        counted.extend(outcome() for outcome in outcomes)
    assert written == counted == [0]


def test_no_items():
    assert list(overlapped([], *[None] * 4)) == []
