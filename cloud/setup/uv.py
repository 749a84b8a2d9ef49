"""uv, pinned, with pip's indexes and a cache where hard links work. Standard library only."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from cloud.node.index import uv_settings
from cloud.setup.command import ROOT, CannotMake, run, say
from cloud.setup.environments import install_with_pip, make, python_of

CPU_PROBE_S = 8  # a machine without a way to the CPU wheels should not wait for long


class Uv:
    """uv with pip's indexes, and with a cache on the environments' own file system where hard links work."""

    def __init__(self) -> None:
        pins = os.path.join(ROOT, "requirements", "uv.txt")
        python = make(".build/uv", [pins], lambda at: install_with_pip(at, pins, "uv"), "17 MB to load")
        self.program = os.path.join(os.path.dirname(python), "uv.exe" if os.name == "nt" else "uv")
        self.work = os.path.dirname(os.path.dirname(os.path.dirname(python)))
        self.environ = uv_settings(os.environ, _pip_configurations(python))
        self.environ["UV_CACHE_DIR"] = self._cache()

    def venv(self, directory: str) -> None:
        """Make an empty environment on the Python that runs this."""
        python = os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)
        self.run(["venv", "--quiet", "--python", python, directory], "environment")

    def sync(self, directory: str, pins: list[str], arguments: list[str]) -> None:
        """Install exactly `pins`, with uv's own progress on stderr."""
        command = ["pip", "sync", "--python", python_of(directory), *arguments, *pins]
        self.run(command, os.path.basename(directory).partition(".")[0], show=sys.stderr.isatty())

    def check_disk(self, directory: str, pins: list[str], size: tuple[int, int]) -> None:
        """Raise CannotMake where the disk is too small for what is not in uv's cache yet."""
        command = ["pip", "sync", "--dry-run", "--python", python_of(directory), *pins]
        plan = self._ask(command)
        if plan.returncode == 0 and "Would download" not in plan.stderr:
            say("all of it is in uv's cache, nothing to load")
            return
        free = shutil.disk_usage(self.work).free // 1_000_000
        if free < sum(size):
            raise CannotMake(
                f"{self.work} has {free:,} MB free, {sum(size):,} MB are needed\n  with more room, type: "
                f"python3 {os.path.join(ROOT, 'cloud', 'bootstrap.py')}"
            )

    def offers_cpu_wheels(self, pin: str) -> bool:
        """Whether the index of CPU builds has `pin`, like `torch==2.15.0`, and says so in a few seconds."""
        command = ["pip", "compile", "--quiet", "--no-deps", "--torch-backend", "cpu", "-"]
        quick = {"UV_HTTP_TIMEOUT": "4", "UV_HTTP_RETRIES": "0", "UV_HTTP_CONNECT_TIMEOUT": "4"}
        try:
            answer = self._ask(command, pin, CPU_PROBE_S, quick)
        except subprocess.TimeoutExpired:
            return False
        return answer.returncode == 0 and "+cpu" in answer.stdout

    def run(self, arguments: list[str], what: str, show: bool = False) -> None:
        """Run uv with them; raises CannotMake."""
        run([self.program, *arguments], what, self.environ, show)

    def _ask(
        self,
        arguments: list[str],
        text: str = "",
        timeout_s: float | None = None,
        environ: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, **self.environ, **(environ or {})}
        command = [self.program, *arguments]
        return subprocess.run(
            command, input=text, env=env, check=False, capture_output=True, text=True, timeout=timeout_s
        )

    def _cache(self) -> str:
        if os.environ.get("UV_CACHE_DIR"):
            return os.environ["UV_CACHE_DIR"]
        asked = self._ask(["cache", "dir"])
        default = asked.stdout.strip()
        try:
            os.makedirs(default, exist_ok=True)
            same = os.stat(default).st_dev == os.stat(self.work).st_dev
        except OSError:  # no HOME, or one that can't be written
            same = False
        usable = same and os.access(default, os.W_OK)
        return default if usable else os.path.join(self.work, "uv-cache")


def _pip_configurations(python: str) -> list[str]:
    """The texts of pip's configuration files, the strongest last; none with PIP_CONFIG_FILE=/dev/null."""
    if os.environ.get("PIP_CONFIG_FILE") == os.devnull:
        return []
    home, prefix = os.path.expanduser("~"), os.path.dirname(os.path.dirname(python))
    paths = ["/etc/xdg/pip/pip.conf", "/etc/pip.conf", os.path.join(home, ".pip", "pip.conf")]
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    paths += [os.path.join(config, "pip", "pip.conf"), os.path.join(prefix, "pip.conf")]
    paths += [os.environ["PIP_CONFIG_FILE"]] if os.environ.get("PIP_CONFIG_FILE") else []
    texts = []
    for path in paths:
        try:
            with open(path) as handle:
                texts.append(handle.read())
        except OSError:
            continue
    return texts
