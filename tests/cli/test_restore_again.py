"""`swinir-jax restore` for the second time: after an interruption, over existing results, with nothing to do."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from picture_files import make_pixels, pillow_bytes

from swinir_jax.cli import choosing, interrupts
from swinir_jax.cli.main import main
from swinir_jax.images import read_picture
from swinir_jax.inference import files

ROOT = Path(__file__).parents[2]
PNG = pillow_bytes(make_pixels(3), "PNG")


@pytest.fixture
def run(model, capfd):
    """Returns a function that runs the command; returns exit code and lines of standard error."""

    def run(*arguments):
        code = main(["restore", "in", "--out", "out", "--model", model, *arguments])
        return code, capfd.readouterr().err.splitlines()

    return run


@pytest.fixture(autouse=True)
def pictures(in_tmp):
    os.mkdir("in")
    for name in "abc":
        Path(f"in/{name}.png").write_bytes(PNG)


@pytest.fixture
def interrupted(run, monkeypatch):
    """Runs the command until Ctrl-C comes while the third picture is restored; returns what it prints."""
    original, calls = files.restore_picture, []

    def restore(picture, restorer):
        calls.append(picture)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(picture, restorer)

    with monkeypatch.context() as patch:
        patch.setattr(files, "restore_picture", restore)
        return run()


def times():
    return {path.name: path.stat().st_mtime_ns for path in Path("out").glob("*.png")}


def test_the_same_command_goes_on_after_an_interruption(run, interrupted):
    code, lines = interrupted
    assert (code, lines[-1]) == (130, "swinir-jax: interrupted after 2 of 3 pictures; the same command goes on")
    before = times()
    code, lines = run()
    assert code == 0
    assert "goes on after an interruption: 2 results are kept" in lines
    assert lines[-1].endswith("in out/; 2 skipped, as their results exist")
    assert {name: times()[name] for name in before} == before
    assert sorted(os.listdir("out")) == ["a.png", "b.png", "c.png"]


def test_options_that_change_no_result_go_on(run, interrupted):
    before = times()
    others = ["--quiet", "--json", "--debug", "--recursive", "--memory", "9GB", "--devices", "1", "--max-pixels", "99"]
    assert run(*others)[0] == 0
    after = times()
    assert after.keys() - before.keys() == {"c.png"}
    assert {name: after[name] for name in before} == before


def test_other_options_do_not_go_on(run, interrupted):
    assert not [line for line in run("--pad", "minimal")[1] if "kept" in line]


def change_the_input():
    Path("in/a.png").write_bytes(PNG)  # the same bytes, at another time


def change_the_result():
    Path("out/a.png").write_bytes(PNG)


def remove_the_result():
    os.remove("out/a.png")


@pytest.mark.parametrize("change", [change_the_input, change_the_result, remove_the_result])
def test_a_result_is_kept_only_as_long_as_it_and_its_input_are_the_same(run, interrupted, change):
    change()
    before = times()
    code, lines = run()
    assert code == 0
    assert "goes on after an interruption: 1 result is kept" in lines
    assert [name for name, time in times().items() if time == before.get(name)] == ["b.png"]
    assert read_picture("out/a.png").pixels.shape == (46, 68, 3)


def test_a_run_that_has_ended_leaves_no_list_of_its_results(run, interrupted):
    [unfinished] = Path("out").glob(".*")
    assert unfinished.name.startswith(".swinir-jax-unfinished-")
    assert run()[0] == 0
    assert not unfinished.exists()


def test_results_that_are_replaced_are_counted_before(run):
    assert not any("replaced" in line for line in run()[1])
    os.remove("out/b.png")
    lines = run()[1]
    assert "2 results exist already and are replaced; --skip-existing keeps them" in lines
    assert run("--compare")[0] == 0
    os.remove("out/compare/a.png")
    assert any(line.endswith("are replaced: out/compare/b.png; out/compare/c.png") for line in run("--compare")[1])


@pytest.mark.parametrize("scale", [[], ["--scale", "2"]])
def test_networks_are_loaded_only_for_something_to_do(run, monkeypatch, scale):
    assert run()[0] == 0
    if scale:  # is known before the network is loaded
        monkeypatch.setattr(choosing, "load_model", pytest.fail)
        assert run("--skip-existing", *scale)[0] == 0
    Path("notes.txt").touch()
    monkeypatch.setattr(choosing, "load_model", pytest.fail)
    assert main(["restore", "notes.txt", "--json"]) == 3


def test_skipping_knows_the_names_that_before_and_after_pictures_ask_for(run):
    Path("in/a.tif").write_bytes(pillow_bytes(make_pixels(3), "TIFF"))
    assert run("--scale", "2")[0] == 0
    lines = run("--scale", "2", "--skip-existing", "--compare")[1]
    assert any("2 skipped" in line for line in lines)
    assert Path("out/a.png.png").is_file()


REFUSED = [
    (["none.png"], "none.png: no such file"),
    (["in", "--level", "25"], "Wrong level 25"),
    (["in", "--model", "lightwait_x2"], "lightwait_x2: no such file, folder or model"),
    (["in", "--for", "jpeg", "--strength", "0.5"], "jpeg_light cannot be made more faithful"),
    (["in", "--out", "in"], "in: its pictures are inputs"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_mistakes_are_told_before_jax_is_imported(arguments, message):
    program = (
        "import sys; from swinir_jax.cli.main import main; code = main(sys.argv[1:]); "
        "assert not {'jax', 'flax', 'orbax'} & {*sys.modules}; sys.exit(code)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program, "restore", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr


WAITING = """
import signal, sys, threading
from swinir_jax.cli.main import _log_to_stderr
from swinir_jax.cli import interrupts
interrupts._PATIENCE = 0.05
with _log_to_stderr(20), interrupts.answering_interrupts():
    signal.signal(signal.SIGINT, lambda number, frame: None)  # as if a tile was running
    print("ready", flush=True)
    while True:
        signal.pause()
"""


def test_ctrl_c_is_answered_at_once_and_stops_hard_the_second_time():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", WAITING], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline() == "stopping after this tile; Ctrl-C again stops at once\n"
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr.read() == "\nswinir-jax: interrupted at once\n"


def test_a_quick_stop_needs_no_answer(caplog):
    with pytest.raises(KeyboardInterrupt), interrupts.answering_interrupts():
        signal.raise_signal(signal.SIGINT)
    assert caplog.text == ""
    assert signal.set_wakeup_fd(-1) == -1
