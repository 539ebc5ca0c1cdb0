"""Which LQ file belongs to which HQ file."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from swinir_jax.errors import InputError
from swinir_jax.images import is_image_file


def image_files(path: str | Path) -> list[Path]:
    """The images of a folder in order, or one file.

    Raises:
      InputError: if there are none.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(f"{path}: no such file or folder.")
    files = [file for file in path.iterdir() if is_image_file(file)]
    if not files:
        raise InputError(f"{path}: no images in this folder.")
    return sorted(files, key=lambda p: [int(t) if t.isdecimal() else t for t in re.split(r"(\d+)", p.name)])


def match_pairs(hq: Sequence[Path], lq: Sequence[Path], scale: int) -> list[tuple[Path, Path]]:
    """Pairs files by the usual name patterns.

    Understands equal stems, `baby` with `babyx2`, and `img_001_SRF_2_HR` with `img_001_SRF_2_LR`.

    Args:
      hq: ground truth files.
      lq: degraded files.
      scale: HQ / LQ side ratio, which the LQ names may end with.

    Returns:
      `(hq, lq)` for each HQ file, in its order.

    Raises:
      InputError: if a file has no partner or more than one; the message names all such files.
    """
    hq_stems = {file.stem for file in hq}
    hq_groups = _groups(hq, lambda stem: stem.removesuffix("_HR"))
    lq_groups = _groups(lq, lambda stem: stem if stem in hq_stems else re.sub(rf"(_LR|[-_]?x{scale})$", "", stem))
    problems = [f"{f.name} has no partner" for a, b in ((hq_groups, lq_groups), (lq_groups, hq_groups))
                for key in a.keys() - b.keys() for f in a[key]]  # fmt: skip
    problems += [f"{group[0].name} and {group[1].name} have one partner"
                 for groups in (hq_groups, lq_groups) for group in groups.values() if len(group) > 1]  # fmt: skip
    if problems:
        raise InputError("Pairs do not match: " + "; ".join(sorted(problems)) + ".")
    return [(group[0], lq_groups[key][0]) for key, group in hq_groups.items()]


def _groups(files: Sequence[Path], key: Callable[[str], str]) -> dict[str, list[Path]]:
    groups: dict[str, list[Path]] = {}
    for file in files:
        groups.setdefault(key(file.stem), []).append(file)
    return groups
