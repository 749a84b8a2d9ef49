"""`reap --timer`: a systemd user timer with its service, and a cron line, ready to paste. Pure."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

UNIT = "hotrun-reap"
MINUTE = 7  # not the full hour, at which everybody's clouds are asked


def texts(
    program: Sequence[str], os_cloud: str, runs_dir: Path, identity: Path | None = None
) -> dict[str, str]:
    """Return `service`, `timer` and `cron`. `program`: absolute, with its Python where it needs one.

    Only the name of a cloud is written down; passwords stay in clouds.yaml, which a timer can read.
    """
    words = [*program, "reap", "--runs-dir", str(runs_dir)]
    words += ["--identity", str(identity)] if identity else []
    environment = [f'Environment="OS_CLOUD={_unit_text(os_cloud)}"'] if os_cloud else []
    service = [
        "[Unit]",
        "Description=Delete hotrun stacks past their deadline",
        "",
        "[Service]",
        "Type=oneshot",
        *environment,
        "ExecStart=" + " ".join(_unit_word(word) for word in words),
    ]
    timer = [
        "[Unit]",
        "Description=Every hour: delete hotrun stacks past their deadline",
        "",
        "[Timer]",
        f"OnCalendar=*:{MINUTE:02}",
        "Persistent=true",
        "",
        "[Install]",
        "WantedBy=timers.target",
    ]
    named = [f"OS_CLOUD={shlex.quote(os_cloud)}"] if os_cloud else []
    line = " ".join([*named, *map(shlex.quote, words), "--quiet"]).replace("%", "\\%")
    return {
        "service": "\n".join(service) + "\n",
        "timer": "\n".join(timer) + "\n",
        "cron": f"{MINUTE} * * * * {line}",
    }


def page(made: Mapping[str, str], os_cloud: str) -> str:
    """Return what a person pastes into a terminal, or into `crontab -e`."""
    place = "~/.config/systemd/user"
    lines = []
    if not os_cloud:
        lines += [
            "# OS_CLOUD is not set: a timer has none of this terminal's OS_* variables.",
            "# Name your cloud in ~/.config/openstack/clouds.yaml and set OS_CLOUD, then print this again.",
            "",
        ]
    lines += ["# with systemd: paste this into a terminal", f"mkdir -p {place}"]
    for name in ("service", "timer"):
        lines += [f"cat > {place}/{UNIT}.{name} <<'END'", made[name].rstrip("\n"), "END"]
    lines += [
        "systemctl --user daemon-reload",
        f"systemctl --user enable --now {UNIT}.timer",
        "loginctl enable-linger    # so that it runs while you are logged out",
        "",
        "# or with cron: one line in crontab -e",
        made["cron"],
    ]
    return "\n".join(lines)


def _unit_word(word: str) -> str:
    """One word of ExecStart: quoted where it must be, with systemd's own signs doubled."""
    text = _unit_text(word).replace("$", "$$")
    return f'"{text}"' if shlex.quote(word) != word or "\\" in word else text


def _unit_text(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
