"""One server's machine as a process: started, asked whether it lives, ended with all that it started."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cloud.rehearse.guardian import with_variable
from cloud.rehearse.processes import kill

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

KEPT_ENDS = (0, 5)  # the unit of boot.sh.j2: Restart=on-failure, RestartPreventExitStatus=5
RESTARTS, RESTART_S = 5, 3.0  # its StartLimitBurst and RestartSec
_END_S = 10.0


@dataclass
class Machine:
    """The process of one server; `starts` counts those that the unit would have made."""

    name: str
    root: Path
    log: Path
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    again_at: float = field(default=0.0)

    def start(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        """Boot on the root that is there; the console goes on."""
        for below in ("tmp", "home"):
            (self.root / below).mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as console:
            self.process = subprocess.Popen(
                list(argv), env=dict(environment), cwd=self.root, stdin=subprocess.DEVNULL, stdout=console,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self.starts += 1

    @property
    def is_running(self) -> bool:
        """Whether its process is there."""
        return self.process is not None and self.process.poll() is None

    @property
    def has_ended(self) -> bool:
        """Whether it ended by itself."""
        return self.process is not None and self.process.poll() is not None

    @property
    def comes_back(self) -> bool:
        """Whether systemd would start the node program again."""
        assert self.process is not None
        return self.process.returncode not in KEPT_ENDS and self.starts <= RESTARTS

    def end(self) -> None:
        """End it at once, as a cloud takes the power away."""
        deadline = time.monotonic() + _END_S
        while kill(with_variable(f"HOTRUN_ROOT={self.root}")) and time.monotonic() < deadline:
            time.sleep(0.05)
        if self.process is not None:
            self.process.wait(_END_S)
        self.process = None
        self.starts = 0
