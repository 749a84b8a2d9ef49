"""`python3 -m node.unit PYTHON JOB_FILE`: make the node program a service of this machine, and start it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_UNIT = """[Unit]
Description=hotrun
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=3600
StartLimitBurst=5

[Service]
WorkingDirectory=%s
Environment=HOME=/root LANG=C.UTF-8
ExecStart=%s -u -m node %s
Restart=on-failure
RestartSec=3
RestartPreventExitStatus=5
KillMode=control-group
OOMPolicy=continue
LimitNOFILE=1048576
LimitMEMLOCK=infinity
TasksMax=infinity
StandardOutput=journal+console

[Install]
WantedBy=multi-user.target
"""


def text(home: Path, python: str, job_file: str) -> str:
    """The unit's file. It stays enabled: a machine that boots again looks whether another run waits."""
    return _UNIT % (home, python, job_file)


if __name__ == "__main__":
    Path("/etc/systemd/system/hotrun.service").write_text(text(Path.cwd(), *sys.argv[1:]))
    for words in (["daemon-reload"], ["enable", "hotrun.service"], ["start", "--no-block", "hotrun.service"]):
        subprocess.run(["systemctl", *words], check=True)
