import os
import signal

import pytest

from swinir_jax.training.interruption import Interruption


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_schedulers_ask_to_save_and_end(number):
    before = signal.signal(number, signal.SIG_DFL)  # the tests may run under nohup, which ignores SIGHUP
    with Interruption() as interruption:
        assert not interruption.reached(1)
        os.kill(os.getpid(), number)
        assert interruption.reached(2)
        assert interruption.received == number
    assert signal.signal(number, before) == signal.SIG_DFL


def test_a_closed_terminal_does_not_end_what_nohup_started():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interruption() as interruption:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not interruption.reached(1)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_second_ctrl_c_ends_at_once():
    with Interruption() as interruption:
        assert not interruption.reached(1)
        os.kill(os.getpid(), signal.SIGINT)
        assert interruption.reached(2)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
