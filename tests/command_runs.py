"""Small training runs for the tests of the loop and of the command."""

import json

import numpy as np

from swinir_jax.images import Picture, write_picture

STEPS = 60
EVERY = 10  # steps between checkpoints

# A network that compiles quickly, trained on random blocks.
FIELDS = (
    "--network.embed-dim 6 --network.depths 1 --network.num-heads 2 --network.window-size 4 --network.img-size 8 "
    f"--data.patch-size 8 --batch-size 4 --steps {STEPS} --log-every {EVERY} --checkpoint.every {EVERY} "
    f"--validation.every {STEPS // 2} --validation.pictures 1"
).split()


def make_images(folder):
    """Makes folders of training and validation images; returns the options that name them."""
    rng = np.random.default_rng(0)
    for name, count in (("hq", 3), ("val", 2)):
        (folder / name).mkdir()
        for i in range(count):
            blocks = rng.integers(0, 256, (4, 5, 3)).repeat(8, axis=0).repeat(8, axis=1)
            write_picture(folder / name / f"{i}.png", Picture(blocks.astype(np.uint8)))
    return ["--data.hq", f"folder:{folder / 'hq'}", "--validation.hq", str(folder / "val")]


def metrics(workdir, name):
    """Values of a metric by step."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line[name] for line in lines if name in line}
