"""Training batches of small random images, for the tests of the data pipeline."""

import itertools

from swinir_jax.data.config import SHRINKING, DataConfig, Degradation
from swinir_jax.data.pipeline import TrainingBatches
from swinir_jax.images import Picture, write_picture

IMAGES = 7

opened = []


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, Picture(pixels))


def open_batches(folder, *, kind="noise", low=0, high=50, size=8, scale=1, channels=3, batch=4, seed=0, process=(0, 1),
                 **options):  # fmt: skip
    """Batches of a folder or of a text `folder:...`; `conftest.py` closes them."""
    degradation = Degradation(kind=kind, low=low, high=low if kind in SHRINKING else high)
    hq = str(folder) if str(folder).startswith("folder:") else f"folder:{folder}"
    config = DataConfig(degradation=degradation, patch_size=size, hq=hq, **options)
    index, count = process
    options = {"batch_size": batch // count, "seed": seed, "process_index": index, "process_count": count}
    opened.append(TrainingBatches(config, scale=scale, channels=channels, **options))
    return opened[-1]


def take(batches, count):
    return [*itertools.islice(batches, count)]


def patches(*batches):
    """The patches of all batches together, sorted."""
    return sorted(lq.tobytes() + hq.tobytes() for b in batches for lq, hq in zip(b["lq"], b["hq"], strict=True))


def global_batches(folder, processes, count, state=None, **options):
    """The joined batches of all processes, step by step; and the states of the processes."""
    shares = [open_batches(folder, process=(i, processes), **options) for i in range(processes)]
    for share in shares:
        if state is not None:
            share.set_state(state)
    taken = [patches(*(next(share) for share in shares)) for _ in range(count)]
    return taken, [share.get_state() for share in shares]
