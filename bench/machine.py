"""The machine that is measured on, and how busy others keep it. Reads /proc; no torch."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from pathlib import Path
from typing import Any

BF16_FLAGS = ("avx512_bf16", "amx_bf16")
PACKAGES = ("torch", "torchvision", "pytorch-lightning", "ray", "numpy")
LOOK_S = 0.3  # of watching before a run


def describe() -> dict[str, Any]:
    """Processor, cores, memory, system and versions, for the head of the report."""
    return {
        "processor": _cpuinfo("model name") or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_mib": _memory_mib(),
        "bf16": ", ".join(flag for flag in BF16_FLAGS if flag in _cpuinfo("flags").split()) or "none",
        "system": platform.platform(aliased=True, terse=True),
        "versions": {"python": platform.python_version(), **_versions()},
    }


def has_bf16() -> bool:
    """Whether the processor multiplies bf16 by itself."""
    return any(flag in _cpuinfo("flags").split() for flag in BF16_FLAGS)


def others_busy_cores() -> float:
    """Cores kept busy now, by others than us: to be asked while none of ours runs."""
    began, before = time.monotonic(), _busy_ticks()
    time.sleep(LOOK_S)
    ticks_per_s = os.sysconf("SC_CLK_TCK")
    return (_busy_ticks() - before) / ticks_per_s / (time.monotonic() - began)


def load_1min() -> float:
    """The system's load average over one minute; it still holds what has just ended."""
    return os.getloadavg()[0]


def _busy_ticks() -> int:
    """user, nice, system, irq, softirq, steal of all cores, proc(5)."""
    rows = _lines("/proc/stat")
    numbers = [int(part) for part in rows[0].split()[1:9]] if rows else [0] * 8
    return sum(numbers) - numbers[3] - numbers[4]


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _memory_mib() -> int:
    row = next((row for row in _lines("/proc/meminfo") if row.startswith("MemTotal:")), "")
    return int(row.split()[1]) // 1024 if row else 0


def _cpuinfo(key: str) -> str:
    rows = (row.partition(":") for row in _lines("/proc/cpuinfo"))
    return next((value.strip() for name, _, value in rows if name.strip() == key), "")


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []
