"""Values of #SBATCH lines: what Slurm reads is taken as it is, anything else is named with an example."""

from __future__ import annotations

from typing import Any

import pytest

from cloud import config
from cloud.errors import RequestError

ASKED = {
    "repo": "https://github.com/you/digits.git", "workers": "1", "entrypoint": "train.py", "target": "slurm",
}  # fmt: skip


def problems(**flags: str) -> list[tuple[str, str, str]]:
    """Return (code, key, fix) of all that is refused."""
    try:
        config.cluster(config.request({**ASKED, **flags}))
    except RequestError as error:
        return [(each.code, each.what.split()[0], each.fix) for each in error.problems]
    return []


@pytest.mark.parametrize("time", ["90", "90:30", "12:00:00", "1-12", "1-12:30", "1-12:30:00", "0:30:00"])
def test_slurms_six_forms_of_a_time_limit_are_taken(time: str) -> None:
    """As sbatch reads them: minutes, minutes:seconds, hours:minutes:seconds, and days before a dash."""
    assert config.cluster(config.request({**ASKED, "time": time})).slurm.time == time


@pytest.mark.parametrize(
    "time", ["1 day", "1d", "12h", "1:2:3:4", "0", "00:00:00", "-5", "1:75", "", "$(id)"]
)
def test_another_time_is_refused_with_examples(time: str) -> None:
    """The forms that are possible stand in the fix."""
    [(code, key, fix)] = problems(time=time)
    assert (code, key) in {("time-malformed", "time"), ("value-empty", "time")}
    assert code == "value-empty" or all(example in fix for example in ("90", "12:00:00", "1-12"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mem", "64G"), ("mem", "0"), ("mem", "500"), ("gpus", "4"), ("gpus", "a100:4"), ("partition", "a,b-2"),
        ("constraint", "ib&(gpu80|gpu40)"), ("constraint", "[rack1|rack2]"), ("nodelist", "node[01-04,7],gpu3"),
        ("nodelist", "n1"), ("nodelist", "r[1-2]n[3]"), ("account", "proj_1"), ("qos", "high"),
        ("modules", "python/3.11.5-gcc,cuda/12.4"), ("cpus_per_task", "16"),
    ],
)  # fmt: skip
def test_what_slurm_reads_is_taken(key: str, value: str) -> None:
    """Nothing that a cluster may have is refused."""
    assert problems(**{key: value}) == []


@pytest.mark.parametrize(
    ("key", "value", "example"),
    [
        ("mem", "64 GB", "64G"), ("mem", "lots", "64G"), ("gpus", "0", "4"), ("gpus", "a100", "a100:4"),
        ("gpus", "-1", "4"), ("partition", "a b", "gpu"), ("partition", "a;id", "gpu"), ("account", "$USER", ""),
        ("qos", "`id`", ""), ("constraint", "ib gpu", "ib&gpu80"), ("constraint", "'a'", "ib&gpu80"),
        ("nodelist", "node[01-04", "node[01-04],gpu7"), ("nodelist", "n1;reboot", "node[01-04],gpu7"),
        ("nodelist", "n1,", "node[01-04],gpu7"), ("modules", "cuda;id", "python/3.11"),
        ("modules", "$(id)", "python/3.11"), ("modules", "-x", "python/3.11"),
    ],
)  # fmt: skip
def test_what_a_shell_would_read_is_refused(key: str, value: str, example: str) -> None:
    """The sentence begins with the key, and the fix has an example."""
    [(code, named, fix)] = problems(**{key: value})
    assert (code, named) == ("value-malformed", key)
    assert example in fix


def test_all_that_is_wrong_is_told_at_once() -> None:
    """One request, one list."""
    wrong: dict[str, Any] = {"workers": "300", "time": "soon", "mem": "big", "gpus": "x", "modules": "a b"}
    assert [key for _, key, _ in problems(**wrong)] == ["workers", "time", "mem", "gpus", "modules"]
