r"""Grammar of the options that name images, such as `DataConfig.hq`.

An option is a list of `folder:HQ[,LQ][:WEIGHT]` and `tfds:NAME[/CONFIG][:SPLIT][:WEIGHT]` with commas between. `\,` and
`\:` stand for a comma and a colon in a name, and `~` for the home folder.
"""

import dataclasses
import math
import os
import re
from pathlib import Path

from swinir_jax.errors import InputError

_KINDS = ("folder:", "tfds:")


@dataclasses.dataclass(frozen=True)
class FolderPlace:
    """Folder of training images.

    Attributes:
      hq: folder of HQ images.
      lq: folder of LQ images; None to make LQ from HQ.
      weight: relative number of patches from this place; None if it is not given.
    """

    hq: Path
    lq: Path | None = None
    weight: float | None = None

    @property
    def name(self) -> str:
        """Path of the HQ folder."""
        return str(self.hq)

    def check(self) -> None:
        """Raises InputError if a folder is missing."""
        for folder in (self.hq, self.lq):
            if folder and not os.path.isdir(folder):
                hint = rf" (with the weight {self.weight:g}; write \: for a colon in a name)" if self.weight else ""
                raise InputError(f"{folder}: no such folder{hint}.")


@dataclasses.dataclass(frozen=True)
class TfdsPlace:
    """Data set of tensorflow-datasets.

    Attributes:
      name: `NAME[/CONFIG][:SPLIT]`.
      weight: relative number of patches from this place; None if it is not given.
    """

    name: str
    weight: float | None = None


def parse_places(text: str, option: str) -> list[FolderPlace | TfdsPlace]:
    """Parses the value of an option.

    Args:
      text: value in the grammar of this module.
      option: name of the option for messages.

    Returns:
      At least one place, which need not exist.

    Raises:
      InputError: if the text does not follow the grammar, or a weight is not positive; the message shows the grammar.
    """
    try:
        return [_parse_one(part) for part in _split(text)]
    except ValueError as error:
        reason = f"{error}: " if str(error) else ""
        raise InputError(
            f"{option} must be folder:PATH, folder:HQ,LQ or tfds:NAME[/CONFIG][:SPLIT], or several of them with commas "
            rf"between, each with or without :WEIGHT at the end, and with \, and \: for , and : in names; {reason}got "
            f"{text!r}."
        ) from error


def folder_text(folder: Path) -> str:
    """Returns the value of an option that names a folder of HQ images."""
    return "folder:" + re.sub(r"([,:])", r"\\\1", str(folder))


def is_place(text: str) -> bool:
    """Tells whether a text follows the grammar; otherwise it is the path of a folder."""
    return text.startswith(_KINDS)


def _split(text: str) -> list[str]:
    """Splits a text at the commas between places."""
    return re.split(rf"(?<!\\),\s*(?={'|'.join(_KINDS)})", text)


def _parse_one(text: str) -> FolderPlace | TfdsPlace:
    kind, _, rest = text.partition(":")
    names, weight = _without_weight(rest)
    parts = [re.sub(r"\\([,:])", r"\1", part) for part in re.split(r"(?<!\\),", names)]
    if f"{kind}:" not in _KINDS or not all(parts):
        raise ValueError
    if kind == "folder" and len(parts) <= 2:
        hq, *lq = [Path(os.path.expanduser(part)) for part in parts]
        return FolderPlace(hq, lq[0] if lq else None, weight)
    if kind == "tfds" and len(parts) == 1:
        return TfdsPlace(parts[0], weight)
    raise ValueError(f"{len(parts)} names in {text!r}")


def _without_weight(text: str) -> tuple[str, float | None]:
    names, colon, last = text.rpartition(":")
    try:
        weight = float(last)
    except ValueError:
        return text, None
    if not colon or names.endswith("\\"):
        return text, None
    if not 0 < weight < math.inf:
        raise ValueError(f"a weight must be above 0, not {last}")
    return names, weight
