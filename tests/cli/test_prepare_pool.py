import json
import shlex
import sys
import time
import zlib
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from image_sources import open_source

from swinir_jax import InputError
from swinir_jax.cli import exit_codes
from swinir_jax.cli.main import main
from swinir_jax.configs.real_sr import EXPERIMENTS
from swinir_jax.data.blind.chains import CHAINS
from swinir_jax.data.config import DataConfig, Degradation
from swinir_jax.data.pipeline import TrainingBatches
from swinir_jax.data.pool import Recipe, write_pool
from swinir_jax.images import Picture, read_picture, write_picture

SHAPES = {"in/a.png": (50, 70, 3), "in/b.png": (48, 53), "in/deep/c.png": (49, 48, 3)}


@pytest.fixture(autouse=True)
def photographs(in_tmp):
    rng = np.random.default_rng(0)
    pixels = {}
    for name, shape in SHAPES.items():
        coarse = rng.integers(0, 256, (7, 9, *shape[2:]))
        pixels[name] = coarse.repeat(8, 0).repeat(8, 1)[: shape[0], : shape[1]].astype(np.uint8)
        pixels[name] = np.resize(pixels[name], shape)
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        write_picture(name, Picture(pixels[name]))
    return pixels


@pytest.fixture(autouse=True)
def one_worker_is_a_thread(monkeypatch):
    """Lets a pool of one process be written in a thread, because a process takes a second to start."""

    def executor(processes, *options):
        return ThreadPoolExecutor(1) if processes == 1 else ProcessPoolExecutor(processes, *options)

    monkeypatch.setattr("concurrent.futures.ProcessPoolExecutor", executor)


def prepare(*arguments, chain="bsrgan_x4", out="pool", times=2, processes=1):
    numbers = ("--times", times, "--processes", processes)
    return main(["prepare-data", "in", "--degrade", chain, "--out", out, *map(str, (*numbers, *arguments)), "--quiet"])


def files(folder="pool"):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in Path(folder).rglob("*.*")}


def index_of(chain, times):
    numbers = {name.removeprefix("in/"): zlib.crc32(Path(name).read_bytes()) for name in sorted(SHAPES)}
    return {"chain": chain, "times": times, "seed": 0, "photographs": numbers}


def test_a_pool_is_the_same_for_any_number_of_processes():
    assert prepare() == prepare(out="two", processes=2) == prepare("--seed", 1, out="other") == 0
    assert files() == files("two")
    names = {f"HQ/0000{i}.png" for i in range(3)} | {f"LQ/0000{i}_{time}.png" for i in range(3) for time in range(2)}
    assert files().keys() == names | {"pool.json", ".swinir-jax-results"}
    assert len({content for name, content in files().items() if "LQ" in name}) == 6
    assert files()["LQ/00000_0.png"] != files("other")["LQ/00000_0.png"]


def test_pairs_are_photographs_and_draws_of_the_chain(photographs):
    assert prepare() == 0
    source = open_source("folder:pool", scale=4)
    assert len(source) == 6
    for i, shape in enumerate([(48, 68), (48, 68), (48, 52), (48, 52), (48, 48), (48, 48)]):
        name = sorted(SHAPES)[i // 2]
        hq, lq = source.read(i)
        pixels = photographs[name] if photographs[name].ndim == 3 else photographs[name][..., None].repeat(3, -1)
        np.testing.assert_array_equal(hq, pixels[: shape[0], : shape[1]])
        assert lq.shape == (shape[0] // 4, shape[1] // 4, 3)


def test_sharpened_photographs_are_the_truth(photographs):
    assert prepare(chain="real_esrgan_x2", times=1) == 0
    clean = np.divide(photographs["in/a.png"], 255, dtype=np.float32)
    sharpened, _ = CHAINS["real_esrgan_x2"](clean, np.random.default_rng(0))
    np.testing.assert_array_equal(read_picture("pool/HQ/00000.png").pixels, np.round(sharpened * 255).astype(np.uint8))
    assert not np.array_equal(sharpened, clean)


def test_a_recipe_trains_on_a_pool():
    assert prepare(chain="photo_x4") == 0
    degradation = EXPERIMENTS["real_light_x4_psnr"].data.degradation
    config = DataConfig(degradation=degradation, patch_size=8, hq="folder:pool", max_corrupt=0)
    batches = TrainingBatches(config, scale=4, channels=3, batch_size=6, seed=0)
    batch = next(batches)
    batches.close()
    assert (batch["lq"].shape, batch["hq"].shape) == ((6, 8, 8, 3), (6, 32, 32, 3))
    stored = [read_picture(path).pixels for path in sorted(Path("pool/LQ").iterdir())]
    corners = {image[y, x].tobytes() for image in stored for y in range(len(image)) for x in range(image.shape[1])}
    drawn = np.round(batch["lq"] * 255).astype(np.uint8).reshape(-1, 3)
    assert all(pixel.tobytes() in corners for pixel in drawn)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (dict(patch_size=16), "is smaller than a patch of 64x64"),
        (dict(patch_size=8, scale=2), "enlarged by 2, is not"),
    ],
)
def test_a_pool_that_does_not_fit_is_refused(options, words):
    assert prepare(chain="photo_x4", times=1) == 0
    scale = options.pop("scale", 4)
    config = DataConfig(degradation=Degradation(kind="blind", low=scale, high=scale), hq="folder:pool", **options)
    with pytest.raises(InputError, match=words):
        TrainingBatches(config, scale=scale, channels=3, batch_size=1, seed=0)


def test_a_pool_that_was_cut_off_goes_on(capsys):
    assert prepare(out="whole") == 0
    names = {Path("in", name): name for name in ("a.png", "b.png", "deep/c.png")}
    recipe = Recipe(chain="bsrgan_x4", times=2, seed=0)
    outcomes = write_pool(Path("pool"), names, recipe, 1)
    assert next(outcomes) is None
    outcomes.close()
    Path("pool/HQ/00002.png").unlink(missing_ok=True)
    Path("pool/LQ/00002_0.png").write_bytes(b"of another photograph")
    written = Path("pool/HQ/00000.png").stat().st_mtime_ns
    with pytest.raises(InputError, match="pool: this pool is not complete; repeat the command"):
        open_source("folder:pool", scale=4)
    assert prepare() == 0
    assert files() == files("whole")
    assert Path("pool/HQ/00000.png").stat().st_mtime_ns == written


def test_a_pool_of_other_photographs_of_the_same_names_is_refused(capsys):
    assert prepare() == 0
    write_picture("in/b.png", Picture(np.zeros((48, 53), np.uint8)))
    assert prepare() == 2
    assert "pool: holds a pool with other photographs; choose a new folder" in capsys.readouterr().err


def test_a_pool_among_its_photographs_is_no_input_and_goes_on(capsys):
    assert prepare(out="in/pool") == 0
    assert prepare(out="in/pool") == 0
    assert len(open_source("folder:in/pool", scale=4)) == 6
    assert main(["prepare-data", "in"]) == 0
    assert "3 images" in capsys.readouterr().out


def test_a_name_with_commas_and_colons_is_printed_as_training_takes_it(capsys):
    numbers = ["--times", "1", "--processes", "1"]
    assert main(["prepare-data", "in", "--degrade", "bsrgan_x4", *numbers, "--out", "a,b:4 c"]) == 0
    advice = capsys.readouterr().out.splitlines()[0].partition("--data.hq ")[2]
    [text] = shlex.split(advice)
    assert len(open_source(text, scale=4)) == 3


def test_processes_stop_with_a_command_that_is_killed():
    code = """if True:
        from pathlib import Path
        from swinir_jax.data.pool import Recipe, write_pool
        next(write_pool(Path("pool"), {Path("in/a.png"): "a"}, Recipe(chain="bsrgan_x4", times=10**6, seed=0), 1))"""
    process = psutil.Popen([sys.executable, "-c", code])
    while not Path("pool/LQ/00000_0.png").exists():
        assert process.poll() is None
        time.sleep(0.02)
    children = process.children(recursive=True)
    process.kill()
    process.wait()
    assert not psutil.wait_procs(children, timeout=20)[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["in", "--degrade", "noise", "--out", "out"], "No degradation chain is called 'noise'; there are bsrgan_x2"),
        (["in", "--degrade", "", "--out", "out"], "No degradation chain is called ''; there are bsrgan_x2"),
        (["in", "--degrade", "photo_x4"], "--degrade writes a pool: name the folder by --out DIR"),
        (["in", "--degrade", "photo_x4", "--out", "out", "--times", "0"], "--times must be at least 1, got 0"),
        (["in", "--degrade", "photo_x4", "--out", "out", "--seed", "-1"], "--seed must be at least 0, got -1"),
        (["in", "--degrade", "photo_x4", "--out", "out", "--processes", "0"], "--processes must be at least 1, got 0"),
        (["in", "--degrade", "photo_x4", "--out", "out", "--patch", "9"], "--patch does not go with --degrade"),
        (["in", "--out", "out", "--times", "2"], "--times needs --degrade CHAIN"),
        (["in", "--degrade", "photo_x4", "--out", "in"], "in: exists; choose a new folder"),
        (["in", "--degrade", "photo_x4", "--out", ""], "The name of --out is empty"),
        (["in", "--degrade", "photo_x4", "--out", "s3://a/b"], "s3://a/b: results are written into local folders"),
        (["in", "--degrade", "photo_x4", "--out", "old"], "old: holds a pool with other chain; choose a new folder"),
    ],
)
def test_bad_input_is_one_line(capsys, arguments, words):
    Path("old").mkdir()
    Path("old/pool.json").write_text(json.dumps(index_of("photo_x2", 8)))
    assert main(["prepare-data", *arguments]) == 2
    [line] = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert words in line


def test_a_target_that_cannot_be_written_is_one_line(capsys):
    Path("pool/LQ/00001_0.png/folder").mkdir(parents=True)
    Path("pool/pool.json").write_text(json.dumps(index_of("bsrgan_x4", 2)))
    assert prepare(processes=2) == exit_codes.NOT_WRITABLE  # the error comes from a process
    [line] = capsys.readouterr().err.splitlines()
    assert "pool/LQ/00001_0.png: cannot be written" in line
    assert main(["prepare-data", "in", "--degrade", "photo_x4", "--out", "in/a.png/out"]) == exit_codes.NOT_WRITABLE
    assert "in/a.png/out: cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"pairs": [["HQ/0.png"]], "chain": "x"}', '{"pairs": 3}'])
def test_a_damaged_index_is_one_line(content):
    Path("pool").mkdir()
    Path("pool/pool.json").write_text(content)
    with pytest.raises(InputError, match=r"pool.json: not readable as the index|this pool is not complete"):
        open_source("folder:pool", scale=4)


def test_photographs_that_cannot_be_read_are_left_out(capsys):
    Path("in/b.png").write_bytes(Path("in/b.png").read_bytes()[:100])
    write_picture("in/tiny.png", Picture(np.zeros((3, 9, 3), np.uint8)))
    assert prepare(times=1) == 1
    failed = [line.split(": ")[1] for line in capsys.readouterr().err.splitlines() if line.startswith("failed")]
    assert failed == ["in/b.png", "in/tiny.png"]
    assert len(open_source("folder:pool", scale=4)) == 2


def test_only_photographs_that_cannot_be_degraded(capsys):
    Path("tiny").mkdir()
    write_picture("tiny/a.png", Picture(np.zeros((3, 9, 3), np.uint8)))
    assert main(["prepare-data", "tiny", "--degrade", "photo_x4", "--processes", "1", "--out", "pool"]) == 3
    printed = capsys.readouterr()
    assert "failed: tiny/a.png" in printed.err
    assert printed.out == ""
