"""What was lost is trained again from a checkpoint, whatever the program: ours, and one that never heard of us."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.rehearse.kept import cache, machines
from tests.rehearse.test_rehearsals import ROOT, payload, run, template

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.rehearsal
__all__ = ["cache", "machines"]  # fixtures


def test_our_trainer_ends_with_the_weights_of_an_undisturbed_run(
    cache: Path, runs: Path, tmp_path: Path
) -> None:
    """A machine that is killed whole in the middle, and comes back, changes no bit of the weights."""
    text = template(1, requirements="payload", args="fit --trainer.max_epochs 12 --checkpoint-every 1s")
    source = payload(tmp_path)
    undisturbed = run(text, runs, source=source, level="process")
    report = run(text, runs, source=source, level="process", faults=("kill:worker-1@epoch6",))

    assert (report.exit_code, report.errors, report.attempts) == (0, [], 2)
    assert report.result["resumed_from_step"] > 0, (report.run_dir / "logs/master.log").read_text()
    assert report.result["weights_sha256"] == undisturbed.result["weights_sha256"]


def test_a_lightning_cli_program_goes_on_by_its_own_argument(cache: Path, runs: Path, tmp_path: Path) -> None:
    """Lightning's checkpoint is found where Lightning writes it, and comes back as --ckpt_path."""
    tree = tmp_path / "digits"
    tree.mkdir()
    shutil.copy(ROOT / "tests/rehearse/repositories/resumed_cli.py", tree / "main.py")
    shutil.copy(ROOT / "payload/requirements.txt", tree)
    text = template(1, args="fit --trainer.max_epochs 40 --trainer.enable_progress_bar false")
    report = run(text, runs, source=tree, level="process", faults=("kill-rank:worker-1@epoch12",))

    assert (report.exit_code, report.errors, report.attempts) == (0, [], 2)
    epochs = [
        int(each)
        for each in re.findall(r"epoch (\d+) begins", (report.run_dir / "logs/master.log").read_text())
    ]
    again = next(
        index for index in range(1, len(epochs)) if epochs[index] != epochs[index - 1] + 1 or index == 39
    )
    assert epochs[again] > 0, epochs
    assert epochs[-1] == 39
