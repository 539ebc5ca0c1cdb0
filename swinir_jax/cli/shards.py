"""Parts of the inputs, for machines that share the work."""

import argparse
import dataclasses
import re

from swinir_jax.cli.inputs import Source
from swinir_jax.files import name_hash

_HASH_DIGITS = 16  # hexadecimal


@dataclasses.dataclass(frozen=True)
class Shard:
    """One of several parts of the inputs, in which each picture is in exactly one part.

    A hash of the picture's path below the folder that the user named decides, so that files which are added or removed
    move no other file to another part.

    Attributes:
      number: number of the part, from 1.
      count: number of parts.
    """

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Parses `3/16`; raises argparse's error for other texts."""
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise argparse.ArgumentTypeError(f"a shard is like 3/16, the third of 16 parts, not {text!r}")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def holds(self, source: Source) -> bool:
        """Returns whether a picture is in this part."""
        return int(name_hash(source.relative.as_posix())[:_HASH_DIGITS], 16) % self.count == self.number - 1
