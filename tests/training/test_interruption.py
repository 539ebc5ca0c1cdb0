import io
import signal

import pytest
from training_runs import STILL

from swinir_jax.training import progress
from swinir_jax.training.interruption import Interruption
from swinir_jax.training.progress import Progress


def asked():
    return Interruption(lambda: "which has run for 3 s")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_schedulers_ask_to_save_and_end(number):
    before = signal.signal(number, signal.SIG_DFL)  # the tests may run under nohup, which ignores SIGHUP
    with asked() as interruption:
        assert not interruption.reached(1)
        signal.raise_signal(number)
        assert interruption.reached(2)
        assert interruption.received == number
    assert signal.signal(number, before) == signal.SIG_DFL


def test_a_closed_terminal_does_not_end_what_nohup_started():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with asked() as interruption:
            signal.raise_signal(signal.SIGHUP)
            assert not interruption.reached(1)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_second_ctrl_c_ends_at_once():
    with asked() as interruption:
        assert not interruption.reached(1)
        signal.raise_signal(signal.SIGINT)
        assert interruption.reached(2)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_stays_the_signal_when_a_scheduler_asks_as_well():
    with asked() as interruption:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert interruption.received == signal.SIGINT


def test_ctrl_c_tells_how_long_saving_takes(capfd):
    with asked():
        signal.raise_signal(signal.SIGINT)
    assert "after this step, which has run for 3 s. Two trial steps then check the weights." in capfd.readouterr().err


@pytest.mark.parametrize("stream", [None, io.StringIO()], ids=["closed", "of a notebook"])
def test_ctrl_c_where_standard_error_has_no_descriptor(monkeypatch, stream):
    monkeypatch.setattr("sys.stderr", stream)
    with asked() as interruption:
        signal.raise_signal(signal.SIGINT)
        assert interruption.reached(1)


def test_the_pace_of_the_present_step_and_of_the_last_one(monkeypatch):
    now = 100.0
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now)
    steps = Progress(0, STILL.steps, STILL.batch_size)
    assert steps.pace() == "which is still to begin"
    now = 130.0
    steps.add({})
    now = 135.0
    assert steps.pace() == "which has run for 5 s"
    with steps.paused():  # validation
        now = 235.0
    now = 310.0
    steps.add({})
    now = 322.0
    assert steps.pace() == "which has run for 12 s; the last one took 80 s"
    steps.close()
