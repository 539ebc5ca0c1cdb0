import time

import jax
import numpy as np
import pytest
from training_runs import STILL

from swinir_jax.errors import InputError
from swinir_jax.training.prefetch import Prefetched
from swinir_jax.training.progress import Progress


class Numbers:
    """Batches 0, 1, 2 and so on; the data is unreadable after `count` batches."""

    def __init__(self, count, seconds=0.0):
        self.count, self.seconds, self.drawn = count, seconds, 0

    def __next__(self):
        time.sleep(self.seconds)
        if self.drawn == self.count:
            raise InputError("too many damaged records")
        self.drawn += 1
        return {"lq": np.array(self.drawn - 1)}

    def get_state(self):
        return {"next_index": self.drawn}


def wait_for(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_prefetched_batches_come_in_order_each_with_its_state():
    data = Prefetched(Numbers(5), dict)
    for i in range(5):
        batch, state = data.take(None)
        assert (int(batch["lq"]), state["next_index"]) == (i, i + 1)
    with pytest.raises(InputError, match="too many"):
        data.take(None)
    data.close()


def test_only_waiting_for_data_counts_as_waiting():
    slow = Prefetched(Numbers(100, seconds=0.05), dict)
    for _ in range(4):
        slow.take(None)
    assert 0.1 < slow.waited < 2
    slow.close()
    quick = Prefetched(Numbers(100), dict)
    wait_for(quick._ready.full)
    quick.take(None)
    assert quick.waited == 0
    quick.close()


def test_waiting_for_the_devices_is_not_waiting_for_data(monkeypatch):
    data = Prefetched(Numbers(100, seconds=0.3), dict)
    monkeypatch.setattr(jax, "block_until_ready", lambda running: wait_for(data._ready.qsize))
    data.take(None)
    assert data.waited < 0.1
    data.close()


def test_a_summary_leaves_out_pauses_earlier_waiting_and_what_is_not_finite(monkeypatch):
    now = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    steps = Progress(0, STILL.steps, STILL.batch_size)
    steps.restart(1.0)
    others = dict.fromkeys(["learning_rate", "skipped", "skipped_in_row"], np.float32(0))
    for loss in (1, np.nan, 3, np.inf, 2):
        steps.add({"loss": np.float32(loss), **others})
    with steps.paused():
        now = 100.0
    now = 110.0
    values = steps.summary(3.5)
    steps.close()
    assert (values["loss"], values["images_per_second"], values["data_wait_share"]) == (2, 2, 0.25)
