"""A machine looks at its own memory and GPUs: the kernel's files, nvidia-smi, torch."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from cloud.node import machine, survey
from cloud.node.context import Context
from cloud.node.job import Job

MIB = 2**20


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kernel's files as this module reads them, 2 GiB available, in no control group."""
    monkeypatch.setattr(survey, "_PROC", tmp_path)
    monkeypatch.setattr(survey, "_CGROUPS", tmp_path / "cgroup")
    (tmp_path / "self").mkdir()
    (tmp_path / "meminfo").write_text("MemTotal:  8388608 kB\nMemAvailable:  2097152 kB\n")
    (tmp_path / "vmstat").write_text("oom_kill 3\n")
    return tmp_path


def place(kernel: Path, line: str, directory: str, files: dict[str, str]) -> None:
    """Put this process into a control group."""
    (kernel / "self/cgroup").write_text(f"1:cpu:/\n{line}\n")
    for name, text in files.items():
        path = kernel / "cgroup" / directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_memory_is_what_the_kernel_calls_available(kernel: Path) -> None:
    """Without control groups, and where their limit is none or larger, it is MemAvailable."""
    assert 2048 * MIB == survey.free_memory_bytes()
    place(kernel, "0::/a", "a", {"memory.max": "max\n", "memory.current": "4096\n"})
    assert 2048 * MIB == survey.free_memory_bytes()


def test_memory_is_lowered_by_a_limit_around_the_process(kernel: Path) -> None:
    """Version 2: the tightest group counts; what was read from disk is not taken for used."""
    files = {"memory.max": f"{1024 * MIB}\n", "memory.current": f"{900 * MIB}\n"}
    stat = f"anon {100 * MIB}\ninactive_file {700 * MIB}\nactive_file {76 * MIB}\n"
    place(kernel, "0::/outer/inner", "outer", {**files, "memory.stat": stat})

    assert 900 * MIB == survey.free_memory_bytes()


def test_memory_is_lowered_by_a_limit_of_the_older_kind(kernel: Path) -> None:
    """Version 1: the same by its own names, with what is below the group."""
    files = {"memory.limit_in_bytes": f"{512 * MIB}\n", "memory.usage_in_bytes": f"{500 * MIB}\n"}
    stat = f"inactive_file {MIB}\ntotal_inactive_file {200 * MIB}\ntotal_active_file 0\n"
    place(kernel, "4:memory:/job", "memory/job", {**files, "memory.stat": stat})

    assert 212 * MIB == survey.free_memory_bytes()


def test_kills_for_want_of_memory_are_counted(kernel: Path) -> None:
    """The machine's and the control group's, of both versions; a kernel without the counters has none."""
    assert 3 == survey.oom_kills()
    place(kernel, "4:memory:/job", "memory/job", {"memory.oom_control": "under_oom 0\noom_kill 2\n"})
    assert 5 == survey.oom_kills()
    place(kernel, "0::/unit", "unit", {"memory.events": "oom 9\noom_kill 4\n"})
    assert 7 == survey.oom_kills()
    (kernel / "vmstat").unlink()
    assert 4 == survey.oom_kills()


def test_this_machine_has_memory_and_a_count() -> None:
    """The same from the real kernel."""
    assert survey.free_memory_bytes() > MIB
    assert survey.oom_kills() >= 0


@pytest.mark.parametrize(
    ("driver", "own", "said", "index"),
    [
        ("535.161.07", "cu132", "The NVIDIA driver on your system is too old", "cu126"),
        ("580.95.05", "cuNone", "Torch not compiled with CUDA enabled", "cu130"),
        ("470.256.02", "cu126", "The NVIDIA driver on your system is too old", "cu118"),
        (
            "580.95.05",
            "cu132",
            "CUDA error: no kernel image is available for execution on the device",
            "cu126",
        ),
        (
            "580.95.05",
            "cu126",
            "CUDA error: no kernel image is available for execution on the device",
            "cu130",
        ),
        ("580.95.05", "cu132", "CUDA error: unknown error", ""),
        ("390.157", "cu132", "The NVIDIA driver on your system is too old", ""),
        ("unknown", "cu132", "Found no NVIDIA driver on your system", ""),
    ],
)
def test_the_index_that_fits_a_driver(driver: str, own: str, said: str, index: str) -> None:
    """The newest CUDA that the driver knows, an older one for an older GPU, none when torch's is not the reason."""
    assert index == survey._index(driver, own, said)


def give_a_gpu(context: Context, directory: Path, python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Claim two GPUs for this machine: nvidia-smi is a fake that answers in the real one's format.

    `python` takes the place of the environment's; its torch is 2.15.0.
    """
    tools, environment = directory / "tools", context.found["environment"]
    tools.mkdir()
    fake = tools / "nvidia-smi"
    listed = "".join(f"GPU {each}: Tesla P100-PCIE-16GB (UUID: GPU-{each})\n" for each in range(2))
    driver = "535.161.07\n535.161.07\n"
    fake.write_text(f"#!/bin/sh\n[ $1 = -L ] && echo '{listed}' || echo '{driver}'\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    (environment / "bin").mkdir(parents=True)
    (environment / "bin/python").write_text(python)
    (environment / "bin/python").chmod(0o755)
    (environment / "lib/python3.11/site-packages/torch-2.15.0.dist-info").mkdir(parents=True)
    context.found["gpus"] = machine.gpus()


@pytest.mark.process
@pytest.mark.parametrize(
    ("shown", "number"), [(None, 2), ("", 2), ("0,1", 2), ("1", 1), ("GPU-1", 1), ("-1", 0)]
)
def test_gpus_that_torch_is_not_shown_do_not_count(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: str | None, number: int
) -> None:
    """CUDA_VISIBLE_DEVICES hides GPUs from torch and not from nvidia-smi (which is a fake with two)."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if shown is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)

    give_a_gpu(context, tmp_path, "#!/bin/sh\n", monkeypatch)

    assert number == len(context.found["gpus"])


@pytest.mark.process
def test_a_gpu_that_torch_cannot_use_is_a_problem(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason in torch's words, the driver, torch's CUDA and the index to choose (nvidia-smi and torch are fakes)."""
    said = "13.2 The NVIDIA driver on your system is too old (found version 12020). Please update your GPU driver"
    give_a_gpu(context, tmp_path, f"#!/bin/sh\necho warning >&2\necho '{said}'\n", monkeypatch)

    assert (
        "has a GPU that torch can't use: The NVIDIA driver on your system is too old (found version 12020) "
        "(driver 535.161.07, CUDA of torch 13.2; an index that ends in cu126 fits)"
    ) == survey.facts(context)["gpu_problem"]


@pytest.mark.process
@pytest.mark.parametrize(
    ("python", "problem"),
    [
        ("echo '13.2 '", ""),
        (
            "echo 'ImportError: libcudnn.so.9: no such file'; exit 1",
            "ImportError: libcudnn.so.9: no such file",
        ),
        ("exit 139", "exit code 139"),
    ],
)
def test_a_torch_that_ends_is_a_problem_and_one_that_computes_is_none(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: str, problem: str
) -> None:
    """An import that fails and a crash are told by their last line (nvidia-smi and torch are fakes)."""
    give_a_gpu(context, tmp_path, f"#!/bin/sh\n{python}\n", monkeypatch)

    found = survey.gpu_problem(context)

    assert bool(problem) == bool(found)
    assert problem in found


@pytest.mark.payload
@pytest.mark.skipif(bool(shutil.which("nvidia-smi")), reason="needs a machine on which torch has no GPU")
def test_the_real_torch_without_a_gpu_says_why(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is tried is a computation on the GPU, as torch's own count asks the driver alone (nvidia-smi is a fake)."""
    bytecode = f"export PYTHONPYCACHEPREFIX={sys.pycache_prefix or ''}"  # not compiled once more
    give_a_gpu(context, tmp_path, f'#!/bin/sh\n{bytecode}\nexec "{sys.executable}" "$@"\n', monkeypatch)

    found = survey.gpu_problem(context)

    assert found.startswith("has a GPU that torch can't use: ")
    assert "no NVIDIA driver" in found or "not compiled with CUDA" in found


def test_a_gpu_that_nobody_wants_is_no_problem(context: Context) -> None:
    """Neither without torch nor where its CPU build was asked for; such a machine has no GPUs to train with."""
    context.found["gpus"] = ["GPU 0: NVIDIA H200 (UUID: GPU-0)"]
    assert "" == survey.gpu_problem(context)

    context.job = Job(repo="", entrypoint="", master="", secret="", torch_index="cpu")
    facts = survey.facts(context)

    assert (0, "") == (facts["gpus"], facts["gpu_problem"])
