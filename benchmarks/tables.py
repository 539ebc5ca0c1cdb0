"""Tables that are written into a page, between two comments."""

from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown."""
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, ["---"] * len(head), *rows))


def replace_table(page: Path, name: str, text: str) -> None:
    """Puts a text between `<!-- name: ... -->` and `<!-- end of name -->`, each on a line of its own."""
    before, begin, rest = page.read_text().partition(f"<!-- {name}: ")
    comment, newline, rest = rest.partition("\n")
    _, end, after = rest.partition(f"<!-- end of {name} -->")
    if not end:
        raise SystemExit(f"{page} has no place for the table {name!r}.")
    page.write_text(before + begin + comment + newline + text + end + after)
