"""Markdown tables, and the pages that they are written into."""

from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Formats a Markdown table."""
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, ["---"] * len(head), *rows))


def replace_table(page: Path, name: str, text: str) -> None:
    """Replaces the text between the lines `<!-- name: ... -->` and `<!-- end of name -->` of a page."""
    before, begin, rest = page.read_text().partition(f"<!-- {name}: ")
    comment, newline, rest = rest.partition("\n")
    _, end, after = rest.partition(f"<!-- end of {name} -->")
    if not end:
        raise SystemExit(f"{page} has no place for the table {name!r}.")
    page.write_text(before + begin + comment + newline + text + end + after)
