"""`swinir-jax degrade`: what a blind degradation makes of photographs."""

import argparse
import logging
import re
import typing
import zlib

import numpy as np

from swinir_jax.cli.exit_codes import code_of
from swinir_jax.cli.goal import Goal
from swinir_jax.cli.inputs import find_inputs
from swinir_jax.cli.planning import Draft, assign_targets
from swinir_jax.data.blind import CHAIN_KINDS, DEFAULT_CHAIN, blind_chain, cut_to_scale
from swinir_jax.data.folders import read_uint8
from swinir_jax.errors import InputError
from swinir_jax.files import make_folder, scratch_folder
from swinir_jax.images import Picture, write_picture

if typing.TYPE_CHECKING:
    from swinir_jax.data.blind.chains import Chain

logger = logging.getLogger(__name__)

_GAP = 4  # white pixels between the pictures of a contact sheet
_MOST_DRAWS = 400


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="degrade these photographs, or folders of them")
    parser.add_argument(
        "--chain",
        default=f"{DEFAULT_CHAIN}_x4",
        metavar="NAME",
        help=f"degrade by this chain, {', '.join(CHAIN_KINDS)}, with the factor by which sides shrink, _x2 or _x4, and "
        "photo and photo_strong also _x1 (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="start the random numbers from N (default: %(default)s)"
    )
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="write the degraded photographs into this folder, as PNG"
    )
    parser.add_argument("--recursive", action="store_true", help="degrade the photographs in subfolders, too")
    parser.add_argument(
        "--contact-sheet",
        type=_grid,
        metavar="ROWSxCOLUMNS",
        help="show several draws of a photograph in one picture",
    )


def run(args: argparse.Namespace) -> int:
    """Degrades each photograph, and writes PNG files."""
    if args.seed < 0:
        raise InputError(f"--seed must be at least 0, got {args.seed}.")
    chain = blind_chain(args.chain)
    goal = Goal.of_folder(args.out, "degraded photographs")
    failed = done = 0
    with scratch_folder() as spool:
        inputs = find_inputs(args.images, goal.path, spool, recursive=args.recursive)
        for problem in inputs.problems.values():
            logger.error("failed: %s", problem)
        failed = len(inputs.problems)
        drafts = [Draft(source, None, ".png", ()) for source in inputs.sources]
        goal.make_folder(inputs, args.recursive)
        for job in assign_targets(drafts, goal, inputs.sources):
            source, target = job.source, job.target
            try:
                image = cut_to_scale(read_uint8(source.file), chain.scale, source.name)
                draws = args.contact_sheet or (1, 1)
                sheet = contact_sheet(image, chain, args.seed, *draws)
                make_folder(target.parent)
                write_picture(target, Picture(sheet))
            except (InputError, MemoryError) as error:
                logger.error("failed: %s", source.renamed(error))
                failed += 1
            else:
                done += 1
                logger.info("%s -> %s, %dx%d", source.name, target, sheet.shape[1], sheet.shape[0])
                for note in job.notes:
                    logger.info("  %s", note)
        for line in inputs.describe_others():
            logger.warning("%s", line)
    return code_of(failed, done)


def contact_sheet(image: np.ndarray, chain: "Chain", seed: int, rows: int, columns: int) -> np.ndarray:
    """Degrades a photograph several times.

    Args:
      image: `[H, W, 3]` uint8; sides are multiples of the chain's scale.
      chain: degradation.
      seed: number that decides all draws, together with the content of the photograph.
      rows: number of draws in a column.
      columns: number of draws in a row.

    Returns:
      The draws side by side, uint8 RGB on white; the plain LQ `[H / scale, W / scale, 3]` of a single draw.
    """
    rng = np.random.default_rng((seed, zlib.crc32(image.tobytes())))
    hq = np.divide(image, 255, dtype=np.float32)
    h, w = (side // chain.scale + _GAP for side in image.shape[:2])
    sheet = np.full((rows * h - _GAP, columns * w - _GAP, 3), 255, np.uint8)
    for i in range(rows * columns):
        _, lq = chain(hq, rng)
        top, left = i // columns * h, i % columns * w
        sheet[top : top + h - _GAP, left : left + w - _GAP] = np.round(lq * 255)
    return sheet


def _grid(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9]\d{0,2})x([1-9]\d{0,2})", text)
    if not match or int(match[1]) * int(match[2]) > _MOST_DRAWS:
        raise argparse.ArgumentTypeError(f"{text!r} is not ROWSxCOLUMNS, such as 4x4, of at most {_MOST_DRAWS} draws")
    return int(match[1]), int(match[2])
