import signal
import threading
import time
import weakref

import pytest

from swinir_jax import InputError
from swinir_jax.inference.overlap import in_lanes, never, overlapped

STAGES = ("read", "restore", "write")


class Stages:
    """Three stages that note when an item enters them."""

    def __init__(self, failing=()):
        self.failing, self.log = failing, []

    def _stage(self, name):
        def run(item):
            self.log.append((name, item))
            time.sleep(0.01)
            if (name, item) in self.failing:
                raise InputError(f"{name} {item}")
            return item

        return run

    def outcomes(self, items=range(3), stopped=never):
        return overlapped(items, *map(self._stage, STAGES), stopped=stopped)


def result(outcome):
    try:
        return outcome()
    except InputError as error:
        return str(error)


def results(ended):
    """Returns the results in order; each item comes with its own."""
    found = []
    for item, outcome in ended:
        found.append(result(outcome))
        assert str(item) in str(found[-1])
    return found


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

    assert results(overlapped(range(3), lambda item: begun["read", item].set(), restore, write)) == [0, 1, 2]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("item", [0, 1, 2])
def test_an_error_concerns_its_item_alone(stage, item):
    stages = Stages(failing={(stage, item)})
    expected = [0, 1, 2]
    expected[item] = f"{stage} {item}"
    assert results(stages.outcomes()) == expected


def test_what_is_being_written_at_ctrl_c_is_finished_and_counted():
    written, counted = [], []

    def restore(item):
        if item == 1:
            raise KeyboardInterrupt

    def write(item):
        time.sleep(0.05)
        written.append(item)
        return item

    outcomes = overlapped(range(3), lambda item: None, restore, write)
    with pytest.raises(KeyboardInterrupt):
        counted.extend(outcome() for _, outcome in outcomes)
    assert written == counted == [0]


def test_ctrl_c_while_the_last_item_is_written_counts_it():
    counted = []

    def write(item):
        if item == 2:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            time.sleep(0.1)
        return item

    with pytest.raises(KeyboardInterrupt):
        counted.extend(outcome() for _, outcome in overlapped(range(3), lambda item: None, lambda item: None, write))
    assert counted == [0, 1, 2]


def test_several_items_are_read_and_written_at_a_time():
    reading, writing = threading.Barrier(3), threading.Barrier(3)
    outcomes = overlapped(
        range(6),
        lambda item: reading.wait(20),
        lambda item: None,
        lambda item: writing.wait(20) >= 0 and item,
        beside=3,
    )
    assert results(outcomes) == [*range(6)]


def test_no_more_items_are_held_than_asked_for():
    begun, counted = [], []

    def restore(item):
        assert len(begun) <= item + 1 + 2
        assert len(counted) >= item - 2

    outcomes = overlapped(range(20), begun.append, restore, lambda item: item, beside=2)
    counted.extend(outcome() for _, outcome in outcomes)
    assert counted == [*range(20)]


def test_no_items():
    assert list(overlapped([], *[None] * 3)) == []


def test_lanes_run_at_the_same_time_and_keep_the_order():
    together = threading.Barrier(2)

    def lane(name):
        def run(items, stopped):
            for item in items:
                together.wait(20)
                time.sleep(0.02 * (name == "first"))
                yield item, lambda item=item: (name, item)

        return run

    outcomes = in_lanes("abcd", [lane("first"), lane("second")])
    expected = [("first", "a"), ("second", "b"), ("first", "c"), ("second", "d")]
    assert results(outcomes) == expected


def test_a_single_lane_runs_in_this_thread():
    def lane(items, stopped):
        assert threading.current_thread() is threading.main_thread()
        yield from items

    assert list(in_lanes([1, 2], [lane])) == [1, 2]


@pytest.mark.parametrize("items", [0, 1, 2, 7])
def test_any_number_of_items_in_three_lanes(items):
    stages = Stages()
    assert results(in_lanes(range(items), [stages.outcomes] * 3)) == [*range(items)]


def test_an_error_concerns_its_item_alone_in_lanes_as_well():
    stages = Stages(failing={("restore", 1)})
    assert results(in_lanes(range(4), [stages.outcomes] * 2)) == [0, "restore 1", 2, 3]


def test_a_lane_that_breaks_down_ends_the_run_with_the_error():
    def broken(items, stopped):
        yield items[0], lambda: items[0]
        raise RuntimeError("no thread")

    outcomes = in_lanes(range(6), [Stages().outcomes, broken])
    next(outcomes)
    time.sleep(0.3)  # both lanes have ended, and the items of the broken one are cancelled, before they are waited for
    with pytest.raises(RuntimeError, match="no thread"):
        list(outcomes)


@pytest.mark.parametrize("beside", [1, 4])
def test_lanes_finish_the_items_at_hand_at_ctrl_c(beside):
    """The signal reaches the main thread while it waits for the second item; all that was written is counted."""
    interrupted, counted, restored, written = threading.Event(), [], [], []

    def restore(item):
        if item == 1:
            signal.raise_signal(signal.SIGINT)  # runs its handler in the main thread
            time.sleep(0.1)
            interrupted.set()
        else:
            time.sleep(0.01)
        restored.append(item)

    def write(item):
        written.append(item)
        return item

    def lane(items, stopped):
        return overlapped(items, lambda item: None, restore, write, beside=beside, stopped=stopped)

    with pytest.raises(KeyboardInterrupt):
        counted.extend(outcome() for _, outcome in in_lanes(range(100), [lane] * 2))
    assert interrupted.is_set()
    assert counted == sorted(restored) == sorted(written)
    assert 1 in restored
    assert 3 not in restored
    assert len(restored) < 40


@pytest.mark.parametrize("lanes", [1, 2])
def test_results_do_not_stay_in_memory(lanes):
    class Result:
        pass

    made = []

    def write(item):
        mine = Result()
        made.append(weakref.ref(mine))
        return mine

    def lane(items, stopped):
        return overlapped(items, lambda item: None, lambda item: time.sleep(0.01), write, stopped=stopped)

    for _, outcome in in_lanes(range(30), [lane] * lanes):
        outcome()
        assert sum(ref() is not None for ref in made) < 10
