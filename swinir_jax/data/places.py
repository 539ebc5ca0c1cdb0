r"""How options name images: `DataConfig.hq` has the grammar.

`folder:HQ[,LQ][:WEIGHT]` and `tfds:NAME[/CONFIG][:SPLIT][:WEIGHT]`, several with commas between. `\,` and `\:` are a
comma and a colon of a name; `~` is the home folder.
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
    """A folder of images, and one of their LQ where LQ is not made of HQ."""

    hq: Path
    lq: Path | None = None
    weight: float | None = None

    @property
    def name(self) -> str:
        """The HQ folder."""
        return str(self.hq)

    def check(self) -> None:
        """Raises InputError if a folder is not there."""
        for folder in (self.hq, self.lq):
            if folder and not os.path.isdir(folder):
                hint = rf" (with the weight {self.weight:g}; \: is a colon in a name)" if self.weight else ""
                raise InputError(f"{folder}: no such folder{hint}.")


@dataclasses.dataclass(frozen=True)
class TfdsPlace:
    """A set of tensorflow-datasets, `NAME[/CONFIG][:SPLIT]`."""

    name: str
    weight: float | None = None


def parse_places(text: str, option: str) -> list[FolderPlace | TfdsPlace]:
    """Reads what an option names.

    Args:
      text: of the grammar above.
      option: what errors call it.

    Returns:
      At least one place; whether it exists is not looked up.

    Raises:
      InputError: if the text is not of the grammar, or a weight is no positive number; the message shows the grammar.
    """
    try:
        return [_parse_one(one) for one in _split(text)]
    except ValueError as error:
        reason = f"{error}: " if str(error) else ""
        raise InputError(
            f"{option} must be folder:PATH, folder:HQ,LQ or tfds:NAME[/CONFIG][:SPLIT], several of them with commas "
            rf"between, each with :WEIGHT at its end if wanted; \, and \: stand for these signs in a name: {reason}got "
            f"{text!r}."
        ) from error


def is_place(text: str) -> bool:
    """Whether a text is of the grammar, rather than the path of a folder."""
    return text.startswith(_KINDS)


def _split(text: str) -> list[str]:
    """Cuts before each word that begins a place."""
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
        raise ValueError(f"a weight is above 0, not {last}")
    return names, weight
