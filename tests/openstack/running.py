"""The program as a process that is followed, interrupted and killed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.openstack import faults_page
from tests.openstack.conftest import PROGRAM, environment

if TYPE_CHECKING:
    from pathlib import Path

    from tests.openstack.projects import Project

END_S = 300


class Running:
    """One command that runs beside the test; its output goes to files, so that it can be read any time."""

    def __init__(self, project: Project, place: Path, *arguments: str) -> None:
        self._place, self._arguments = place, arguments
        with self._file("out").open("wb") as out, self._file("err").open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, str(PROGRAM), *arguments],
                cwd=place,
                env={**environment(place), **project.environ},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    @property
    def out(self) -> str:
        """What it printed as its result by now."""
        return self._file("out").read_text()

    @property
    def err(self) -> str:
        """What it said by now."""
        return self._file("err").read_text()

    def end(self, deadline_s: float = END_S) -> int:
        """Its exit code, once it has ended."""
        try:
            code = self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"it did not end: {self.out}{self.err}") from None
        faults_page.note(self._arguments, code, self.out, self.err)
        return code

    def _file(self, name: str) -> Path:
        return self._place / f".{name}"
