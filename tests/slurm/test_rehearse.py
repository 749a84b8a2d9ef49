"""`hotrun rehearse job.sbatch`: prepared, run on a Slurm that is started for it, judged, and nothing is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cloud.errors import ProblemsFound
from cloud.rehearse.lab import site
from cloud.rehearse.slurm import needs
from tests.slurm.bench import DEADLINE_S, ROOT, home, script
from tests.slurm.programs import RAISES_AT
from tests.slurm.test_cluster import left, wait_until_none

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.rehearsal


@pytest.fixture
def place(slurm: None, cache: Path, directory: Path) -> Iterator[Path]:
    """Where one rehearsal is typed; after it nothing may run."""
    own = home(cache) / "cluster"
    yield directory
    assert wait_until_none(own), left(own)


def command(*words: str) -> list[str]:
    """What is typed."""
    return [sys.executable, str(ROOT / "cloud/generator.py"), "rehearse", *words]


def rehearsed(place: Path, cache: Path, *words: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the document of --json, and what was said meanwhile."""
    done = subprocess.run(
        command(*words, "--json"), cwd=place, capture_output=True, text=True, check=False,
        env={**os.environ, "HOTRUN_CACHE_DIR": str(cache)}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


def test_a_job_is_rehearsed_from_nothing_to_results(place: Path, cache: Path, source: Path) -> None:
    """One command: what is needed is said first, two nodes train as one, results and logs come home."""
    made = script(
        place / "job.sbatch", "torch_ddp.py", args="--data synthetic --epochs 1", slurm_partition="long,short"
    )
    fetch = "python fetch.py synthetic $HOTRUN_DATA_DIR"
    code, found, said = rehearsed(place, cache, made.name, "--source", str(source), "--fetch", fetch)
    assert (code, found["problems"]) == (0, []), said
    assert (found["level"], found["state"], found["name"]) == ("slurm", "done", "digits-1")
    assert found["world_size"] == {"expected": 2, "proven": 2, "backend": "gloo"}
    assert [(each["name"], each["state"]) for each in found["nodes"]] == [
        ("master", "done"),
        ("worker-1", "done"),
    ]
    assert found["result"]["world_size"] == 2

    run = place / found["run_dir"]
    assert json.loads((run / "status.json").read_text()) == found
    assert (run / "job.sbatch").read_bytes() == made.read_bytes()
    for path in ("results/result.json", "logs/job.log", "logs/login.log", "logs/slurm/slurmctld.log"):
        assert (run / path).is_file(), path
    assert len(list((run / "proof").glob("rank*.json"))) == 2
    data = home(cache) / "work/data/synthetic"
    assert str(data) in (run / "logs/login.log").read_text()
    assert list(data.iterdir())
    assert said.index("needs root and Debian's packages slurm-wlm and munge") < said.index("--prepare")
    assert "this cluster has partition long, partition short because the job asks for it" in said


def test_a_node_that_loses_its_power_comes_back_and_the_job_goes_on(
    place: Path, cache: Path, source: Path
) -> None:
    """Slurm notices, the node boots again, the job goes on from its checkpoint, and all of it is told."""
    script(place / "job.sbatch", "disturbed.py")
    words = ["job.sbatch", "--source", str(source), "--fault", "kill:node2@epoch2"]
    code, found, said = rehearsed(place, cache, *words)
    assert code == 0, said
    assert found["result"]["resumed_from_step"] > 0, said
    assert (found["attempts"] > 1, found["world_size"]["proven"]) == (True, 2)
    assert "recovered" in {each["code"] for each in found["problems"]}
    events = [
        json.loads(line) for line in (place / found["run_dir"] / "events.jsonl").read_text().splitlines()
    ]
    told = [each["what"] for each in events if each["event"] in ("fault", "came-back")]
    assert told == ["fault: kill worker-1 in epoch 2",
                    "worker-1 (node2) came back after Slurm had seen that it was down"]  # fmt: skip


def test_a_job_whose_node_is_gone_for_good_is_told_what_it_waits_for(
    place: Path, cache: Path, source: Path
) -> None:
    """Slurm itself would wait for ever; the rehearsal says for which node, and nothing is left running."""
    script(place / "job.sbatch", "disturbed.py")
    words = ["job.sbatch", "--source", str(source), "--fault", "lose:node2@epoch2"]
    code, found, said = rehearsed(place, cache, *words)
    assert code == 6, said
    assert [(each["code"], "node2 is down for good" in each["what"]) for each in found["problems"]] == [
        ("slurm-job-waits", True)
    ]


def test_a_rank_that_raises_fails_the_rehearsal_with_node_and_line(
    place: Path, cache: Path, source: Path
) -> None:
    """Exit code 5; the problem has the node, the program's line, and where the log shows it."""
    script(place / "job.sbatch", "raises.py", restarts=0)
    code, found, said = rehearsed(place, cache, "job.sbatch", "--source", str(source))
    assert (code, found["state"]) == (5, "failed"), said
    problem = found["problems"][0]
    assert (problem["node"], problem["stage"]) == ("worker-1", "train")
    assert f"payload/raises.py:{RAISES_AT}" in problem["where"] + problem["what"]


def test_a_job_with_a_nodelist_and_a_type_of_gpus_can_be_rehearsed(
    place: Path, cache: Path, source: Path
) -> None:
    """Nodes and GPUs that only the real cluster has: sbatch is asked for this one's."""
    made = script(
        place / "job.sbatch", "plain.py", requirements="plain", allow_single=True,
        slurm_nodelist="gpu[07-08]", slurm_gpus="a100:2",
    )  # fmt: skip
    fetch = "touch $HOTRUN_DATA_DIR/fetched"
    code, found, said = rehearsed(place, cache, made.name, "--source", str(source), "--fetch", fetch)
    assert (code, found["state"]) == (0, "done"), said
    assert "--nodelist gpu[07-08] names nodes of your cluster and is not used here" in said
    assert "gpu-" in (place / found["run_dir"] / "logs/login.log").read_text()


def test_what_prepare_says_is_the_rehearsals_end(place: Path, cache: Path, source: Path) -> None:
    """No Slurm is started for a job that can't be prepared."""
    script(place / "job.sbatch", "nowhere.py")
    code, found, said = rehearsed(place, cache, "job.sbatch", "--source", str(source))
    assert code == 5, said
    assert found["problems"][0]["code"] == "slurm-not-prepared"
    assert "nowhere.py" in found["problems"][0]["what"]
    assert "Slurm is up" not in said


def test_what_sbatch_refuses_is_named(place: Path, cache: Path, source: Path) -> None:
    """A time that somebody wrote by hand: sbatch's own words, exit code 5."""
    made = script(place / "job.sbatch", "raises.py", slurm_time="30")
    made.write_text(made.read_text().replace("--time=30", "--time=soon"))
    code, found, said = rehearsed(place, cache, "job.sbatch", "--source", str(source))
    assert (code, found["problems"][0]["code"]) == (5, "sbatch-refused"), said
    assert "Invalid --time specification" in found["problems"][0]["what"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_rehearsal_that_is_ended_leaves_nothing(
    place: Path, cache: Path, source: Path, *, number: signal.Signals, code: int
) -> None:
    """Ctrl-C in the middle of the training, or SIGKILL: `place` looks for what is left."""
    script(place / "job.sbatch", "disturbed.py")
    words = command("job.sbatch", "--source", str(source), "--name", "ended")
    environ = {**os.environ, "HOTRUN_CACHE_DIR": str(cache)}
    with (
        (place / "said").open("wb") as said,
        subprocess.Popen(words, cwd=place, env=environ, stderr=said) as it,
    ):
        deadline = time.monotonic() + DEADLINE_S
        while "epoch 1" not in (place / "said").read_text(errors="replace"):
            assert it.poll() is None, (place / "said").read_text()
            assert time.monotonic() < deadline, (place / "said").read_text()
            time.sleep(0.1)
        it.send_signal(number)
        assert it.wait(DEADLINE_S) == code
    if code == 130:
        assert json.loads((place / "runs/ended/status.json").read_text())["exit_code"] == 130


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["--level", "process", "--cpu-share", "20%"], 2, ["flag --level: --level is for machines of a template",
                                                           "flag --cpu-share: --cpu-share is for machines"]),
        (["--fault", "slow:10mbit"], 3, ["not on nodes of Slurm"]),
        (["--workers", "40"], 3, ["asks for 41 nodes, but a rehearsal has at most 16"]),
    ],
)  # fmt: skip
def test_what_makes_no_sense_for_a_job_is_refused_before_anything_starts(
    place: Path, cache: Path, *, words: list[str], code: int, expected: list[str]
) -> None:
    """Flags of a template's machines, faults that no node of Slurm can have, more nodes than fit."""
    script(place / "job.sbatch", "main.py")
    done, found, said = rehearsed(place, cache, "job.sbatch", *words)
    assert done == code, said
    told = "\n".join(f"{each['where']}: {each['what']}" for each in found["problems"])
    assert [sentence for sentence in expected if sentence not in told] == [], told
    assert not (place / "runs").exists()


def test_another_batch_script_is_told_what_makes_one_of_ours(place: Path, cache: Path) -> None:
    """A file with #SBATCH lines is no template, and not every one can be rehearsed."""
    (place / "job.sbatch").write_text("#!/bin/bash\n#SBATCH --nodes=2\nsrun hostname\n")
    code, found, said = rehearsed(place, cache, "job.sbatch")
    assert (code, found["problems"][0]["code"]) == (3, "job-not-ours"), said


def test_a_computer_without_root_and_slurm_is_told_all_that_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both at once, with Debian's packages, their size, and the line that installs them."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(needs, "path_of", lambda program: None if program in needs.PROGRAMS else "/bin/true")
    monkeypatch.setattr(site, "search_path", lambda: os.environ["PATH"])
    with pytest.raises(ProblemsFound) as found:
        needs.check()
    told = [(each.code, each.what, each.fix) for each in found.value.problems][:2]
    assert [code for code, *_ in told] == ["slurm-not-possible"] * 2
    assert "needs root on Linux" in told[0][1]
    assert told[1][1].startswith("munge and slurm-wlm of Debian are not installed (4 MB to download, ")
    assert told[1][2] == "sudo apt-get install --no-install-recommends slurm-wlm munge"
