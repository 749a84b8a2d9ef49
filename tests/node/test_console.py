"""Console lines say the same to the node that writes and to whoever follows."""

from __future__ import annotations

import pytest

from cloud.node.console import format_line, node_name, node_rank, parse_line


def test_a_line_reads_back_as_it_was_written() -> None:
    """Quotes, spaces, equals signs and line ends in values survive as one line."""
    line = format_line(
        node="worker-3", stage="train", state="failed", s=1.25, what='it\'s "a" = b\nc', where=""
    )

    assert "\n" not in line
    assert {
        "node": "worker-3", "stage": "train", "state": "failed", "s": "1.2", "what": "it's \"a\" = b c",
    } == parse_line(line)  # fmt: skip


@pytest.mark.parametrize("line", ["loss 0.3", "hotrun: nothing of ours", "hotrun: it's", "hotrun: node=x"])
def test_other_lines_are_no_console_lines(line: str) -> None:
    """What a program prints is never taken for a stage's report."""
    assert parse_line(line) is None


def test_names_and_ranks_belong_together() -> None:
    """The number of a worker is its node rank; rank 0 is the master."""
    assert ["master", "worker-1", "worker-254"] == [node_name(rank) for rank in (0, 1, 254)]
    assert [0, 1, 254] == [node_rank(name) for name in ("master", "worker-1", "worker-254")]
