"""Tables of the documentation's pages."""

from __future__ import annotations


def table(text: str, head: str) -> list[list[str]]:
    """Cells of the table whose first heading is `head`, row by row."""
    lines = text.partition(f"| {head} |")[2].partition("\n\n")[0].splitlines()[2:]
    assert lines, head
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
