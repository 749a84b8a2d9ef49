"""docs/tensorflow.md against the program: files, flags and numbers that it names."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs/tensorflow.md").read_text(encoding="utf-8")


def test_what_it_names_is_there() -> None:
    """Files and pages that it names exist, and so do the flags of the payload."""
    from mwms.options import _parser

    from cloud.commands.generate import generate
    from cloud.commands.rehearse import rehearse

    for name in re.findall(r"payload/(?:mwms/)?[\w-]+\.(?:py|txt)", TEXT):
        assert (ROOT / name).is_file(), name
    for name in re.findall(r"\]\(([\w./-]+)\)", TEXT):
        assert (ROOT / "docs" / name).is_file(), name
    ours = {flag for action in _parser()._actions for flag in action.option_strings}
    of_hotrun = {flag for command in (generate, rehearse) for each in command.params for flag in each.opts}
    assert set(re.findall(r"--[a-z][a-z-]+", TEXT)) <= ours | of_hotrun


def test_numbers_are_those_of_the_code() -> None:
    """Deadlines, tries, chunks and the pins that it tells are what the program has."""
    from mwms.options import WAIT_S
    from mwms.ready import PYTHONS
    from mwms.watch import AGAIN_S, STARTS
    from ranks.order import JUDGED_AT_ONCE

    pins = (ROOT / "payload/requirements-tensorflow.txt").read_text()
    assert f"chunks of {JUDGED_AT_ONCE} " in TEXT
    assert f"within {WAIT_S:g} s" in TEXT
    assert f"start 1 of {STARTS} failed" in TEXT
    assert f"again in {AGAIN_S:g} s" in TEXT
    assert "Python {}.{} to {}.{}".format(*PYTHONS[0], *PYTHONS[1]) in TEXT
    for version in re.findall(r"tensorflow\[and-cuda\]==([\d.]+)", TEXT):
        assert f"tensorflow-cpu=={version}" in pins


def test_requirements_are_exact_and_without_torch() -> None:
    """Each requirement has one version, and none of them is torch."""
    rows = (ROOT / "payload/requirements-tensorflow.txt").read_text().splitlines()
    pinned = [row for row in rows if not row.startswith("#")]

    assert all(re.fullmatch(r"[a-z-]+==[\d.]+", row) for row in pinned)
    assert not any("torch" in row for row in pinned)
