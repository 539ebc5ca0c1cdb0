"""`swinir-jax prepare-data`."""

import argparse
import dataclasses
import logging
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import grain
import numpy as np
from tqdm import tqdm

from swinir_jax.cli.exit_codes import code_of
from swinir_jax.cli.goal import local_path
from swinir_jax.cli.output import say
from swinir_jax.data.folders import find_images, read_uint8
from swinir_jax.data.places import FolderPlace, folder_text, is_place, parse_places
from swinir_jax.data.pool import Recipe, write_pool
from swinir_jax.data.records import write_records
from swinir_jax.errors import InputError, printable
from swinir_jax.machine import usable_cores

logger = logging.getLogger(__name__)

_Options = Mapping[str, tuple[int | None, str]]  # default and help of each option that takes a number
_SUB_IMAGES: _Options = {
    "patch": (480, "cut square sub-images of N pixels a side"),
    "step": (None, "cut a sub-image every N pixels"),
    "threads": (2, "decode in N threads"),
}
_POOL: _Options = {
    "times": (8, "degrade each photograph N times; for --degrade"),
    "seed": (0, "start the random numbers of --degrade from N"),
    "processes": (usable_cores(), "degrade in N processes; for --degrade"),
}
_IMAGES_AHEAD = 2  # images that each thread decodes in advance
_SIZES_SHOWN = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "folders", nargs="+", metavar="FOLDER", help="read the images in these folders, subfolders and links included"
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="write sub-images (array_record), or the photographs of --degrade, into this new folder (default: none is "
        "written, and the images are only checked)",
    )
    parser.add_argument(
        "--degrade",
        metavar="CHAIN",
        help="write whole photographs, each with degraded copies made by this chain, such as photo_x4; the same "
        "command continues after an interruption",
    )
    for name, (default, text) in {**_SUB_IMAGES, **_POOL}.items():
        shown = "half of --patch" if default is None else default
        parser.add_argument(f"--{name}", type=int, metavar="N", help=f"{text} (default: {shown})")


def run(args: argparse.Namespace) -> int:
    """Checks images and writes sub-images or a pool if asked to; unreadable files are left out."""
    return _summarise(args) if args.degrade is None else _write_pool(args)


def _summarise(args: argparse.Namespace) -> int:
    """Decodes all images, prints a summary, and writes sub-images if asked to."""
    numbers = _numbers(args, _SUB_IMAGES, _POOL, "needs --degrade CHAIN")
    out = None if args.out is None else local_path(args.out)
    if not out and (args.patch or args.step):
        raise InputError("--patch and --step need --out, the folder of the sub-images.")
    patch, threads = numbers["patch"], numbers["threads"]
    names, left_out = _find(args.folders)
    files = [*names]
    summary = _Summary()
    decoded = tqdm(_decode(files, threads), total=len(files), disable=args.quiet or None, unit="image")
    images = summary.count(decoded)
    lines = []
    if out:
        step = numbers.get("step", max(1, patch // 2))
        try:
            count, size = write_records(out, _cut(images, names, patch, step))
            lines = [f"{out}: {count} sub-images, {size / 1e6:.1f} MB; {_advice(out)}"]
        except InputError:
            if not summary.unreadable or summary.sizes:  # else no image can be read, as the summary tells
                raise
    else:
        for _ in images:
            pass
    if not args.quiet:
        say(*map(printable, [*summary.lines(), *lines, *left_out]))
    return code_of(summary.unreadable, summary.sizes.total())


def _write_pool(args: argparse.Namespace) -> int:
    numbers = _numbers(args, _POOL, _SUB_IMAGES, "does not go with --degrade, which keeps photographs whole")
    if args.out is None:
        raise InputError("--degrade writes a pool: name the folder by --out DIR.")
    out = local_path(args.out)
    recipe = Recipe(chain=args.degrade, times=numbers["times"], seed=numbers["seed"])
    names, left_out = _find(args.folders)
    outcomes = write_pool(out, names, recipe, numbers["processes"])
    failed = 0
    for error in tqdm(outcomes, total=len(names), disable=args.quiet or None, unit="photograph"):
        if error:
            failed += 1
            logger.error("failed: %s", error)
    count = len(names) - failed
    if count and not args.quiet:
        made = f"{count * recipe.times} pairs of {count} photographs"
        say(*map(printable, [f"{out}: {made}; {_advice(out)}", *left_out]))
    return code_of(failed, count)


def _advice(out: Path) -> str:
    return f"train.py takes --data.hq {shlex.quote(folder_text(out))}"


def _numbers(args: argparse.Namespace, options: _Options, others: _Options, problem: str) -> dict[str, int]:
    """Returns the values of options that have one, given or by default; raises InputError if another one was given."""
    for name in others:
        if getattr(args, name) is not None:
            raise InputError(f"--{name} {problem}.")
    values = {}
    for name, (default, _) in options.items():
        value = default if (given := getattr(args, name)) is None else given
        least = 0 if name == "seed" else 1
        if value is None:
            continue
        if value < least:
            raise InputError(f"--{name} must be at least {least}, got {value}.")
        values[name] = value
    return values


def starts(length: int, patch: int, step: int) -> list[int]:
    """Returns the positions of sub-images along a side: every `step`, and one that ends with the image."""
    last = max(length - patch, 0)
    return [*range(0, last, step), last]


@dataclasses.dataclass
class _Summary:
    """Sizes of the images in the folders, and the number of unreadable files."""

    sizes: Counter[tuple[int, int]] = dataclasses.field(default_factory=Counter)  # height and width
    smallest: tuple[int, Path] | None = None  # shorter side, and file
    unreadable: int = 0

    def count(self, decoded: Iterable[tuple[Path, np.ndarray | InputError]]) -> Iterator[tuple[Path, np.ndarray]]:
        """Yields the images, counts them, and logs the errors."""
        for file, image in decoded:
            if isinstance(image, InputError):
                self.unreadable += 1
                logger.error("failed: %s", image)
                continue
            self.sizes[image.shape[:2]] += 1
            side = (min(image.shape[:2]), file)
            self.smallest = min(self.smallest or side, side)
            yield file, image

    def lines(self) -> Iterator[str]:
        """Yields the lines to print."""
        total = self.sizes.total()
        pixels = sum(h * w * count for (h, w), count in self.sizes.items())
        yield f"{total} images, {pixels / 1e6:.1f} megapixels, {self.unreadable} unreadable files"
        most = self.sizes.most_common(_SIZES_SHOWN)
        others = total - sum(count for _, count in most)
        shown = [f"{count} of {w}x{h}" for (h, w), count in most] + [f"{others} of other sizes"] * bool(others)
        if self.smallest:
            yield f"sizes: {', '.join(shown)}"
            yield f"shortest side: {self.smallest[0]} ({self.smallest[1]})"


def _find(texts: Sequence[str]) -> tuple[dict[Path, str], list[str]]:
    """Finds the images; returns the name of each file in the records, and descriptions of other files."""
    places = [place for text in texts for place in _folders(text)]
    names: dict[Path, str] = {}
    left_out = []
    for place in places:
        images = find_images(place.hq)
        left_out += [images.left_out] if images.left_out else []
        for file, _ in images.pairs:
            if file in names:
                raise InputError(f"{file}: found more than once; name each folder once.")
            names[file] = str(file.relative_to(place.hq) if len(places) == 1 else file)
    return names, left_out


def _folders(text: str) -> Iterator[FolderPlace]:
    for place in parse_places(text, "FOLDER") if is_place(text) else [FolderPlace(Path(text))]:
        if not isinstance(place, FolderPlace) or place.lq or place.weight:
            raise InputError(f"prepare-data takes folders of HQ images only, without LQ and weights, got {text!r}.")
        place.check()
        yield place


def _decode(files: list[Path], threads: int) -> Iterator[tuple[Path, np.ndarray | InputError]]:
    options = grain.ReadOptions(threads, _IMAGES_AHEAD * threads)
    return iter(grain.MapDataset.source(files).map(_try_to_read).to_iter_dataset(options))


def _try_to_read(file: Path) -> tuple[Path, np.ndarray | InputError]:
    try:
        return file, read_uint8(file)
    except InputError as error:
        return file, error


def _cut(
    images: Iterable[tuple[Path, np.ndarray]], names: Mapping[Path, str], patch: int, step: int
) -> Iterator[tuple[str, np.ndarray]]:
    for file, image in images:
        for top in starts(image.shape[0], patch, step):
            for left in starts(image.shape[1], patch, step):
                name = f"{names[file]} at row {top}, column {left}"
                yield name, image[top : top + patch, left : left + patch]
