"""`--swap` from the flag to the job's line and the archive."""

from __future__ import annotations

import pytest

from cloud import hot
from cloud.request import rules
from cloud.template import archive
from tests.unit.clusters import cluster


@pytest.mark.parametrize(
    ("typed", "meant"), [("4G", "4G"), ("512m", "512M"), (" 8g ", "8G"), ("", ""), ("0512M", "512M")]
)
def test_a_size_is_read(typed: str, meant: str) -> None:
    """A number with M or G; empty for none."""
    assert rules.swap(typed) == meant


@pytest.mark.parametrize(
    "typed", ["4", "4GB", "4 G", "-1G", "1.5G", "4T", "G", "４G", "32M", "0G", "999999G"]
)
def test_what_is_no_size_is_refused(typed: str) -> None:
    """With sizes that are possible."""
    with pytest.raises(rules.Refused) as caught:
        rules.swap(typed)
    assert caught.value.code in {"size-malformed", "number-out-of-range"}


def test_the_job_and_the_archive_have_it_only_where_it_is_asked_for() -> None:
    """It is no parameter: another template's archive would lack the module."""
    usual, asked = cluster(), cluster(swap="4G")
    assert "swap" not in hot.job(usual)
    assert hot.job(asked)["swap"] == "4G"
    assert (hot.parts(usual.job), hot.parts(asked.job)) == (frozenset(), frozenset({"swap"}))
    assert "node/swap.py" not in archive.node_files(hot.parts(usual.job))
    assert "node/swap.py" in archive.node_files(hot.parts(asked.job))
