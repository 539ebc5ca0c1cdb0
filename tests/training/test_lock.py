import json
import os
import socket
import subprocess
import sys

import pytest

from swinir_jax.errors import InputError
from swinir_jax.training import lock
from swinir_jax.training.lock import LOCK_FILE, held

HELD = """
import sys, time
from swinir_jax.training.lock import held
with held(sys.argv[1]):
    print("held", flush=True)
    time.sleep(100)
"""


def test_a_second_training_is_refused_and_the_holder_named(tmp_path):
    with held(tmp_path / "run"), pytest.raises(InputError) as caught, held(tmp_path / "run"):
        raise AssertionError("let in")
    assert f"process {os.getpid()} on {socket.gethostname()}, since 20" in str(caught.value)
    assert "\n" not in str(caught.value)
    with held(tmp_path / "run"):  # the first has gone
        pass


def test_a_killed_process_holds_nothing(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HELD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=f"process {process.pid} on"), held(tmp_path):
            raise AssertionError("let in")
    finally:
        process.kill()
        process.communicate()
    assert json.loads((tmp_path / LOCK_FILE).read_text())["process"] == process.pid  # left behind
    with held(tmp_path):
        assert json.loads((tmp_path / LOCK_FILE).read_text())["process"] == os.getpid()


def test_a_training_that_has_ended_leaves_an_empty_file(tmp_path):
    with held(tmp_path):
        pass
    assert (tmp_path / LOCK_FILE).read_text() == ""


@pytest.mark.parametrize(
    ("note", "refused"),
    [
        ({}, True),
        ({"started": "1"}, False),  # the number has gone to another process
        ({"process": 2**22 + 1}, False),  # more than Linux gives
        ({"host": "elsewhere"}, True),
    ],
    ids=str,
)
def test_without_file_locks_the_identity_decides(note, refused, tmp_path, monkeypatch):
    def unsupported(*arguments):
        raise OSError("no locks here")

    monkeypatch.setattr(lock.fcntl, "flock", unsupported)
    with held(tmp_path):
        left = json.loads((tmp_path / LOCK_FILE).read_text())
    (tmp_path / LOCK_FILE).write_text(json.dumps(left | note))
    if refused:
        with pytest.raises(InputError, match=rf"If that process is gone, remove .*{LOCK_FILE}"), held(tmp_path):
            raise AssertionError("let in")
    else:
        with held(tmp_path):
            pass


def test_an_incomplete_identity_is_ignored(tmp_path):
    (tmp_path / LOCK_FILE).write_text('{"host": "el')
    with held(tmp_path):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot be written"), held(tmp_path / "file"):
        raise AssertionError("let in")
