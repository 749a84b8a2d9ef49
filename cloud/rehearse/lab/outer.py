"""Process 1 of the lab: builds bridge, cables and rules, opens the sockets, then waits for its own end.

Run as `python -I outer.py FD` in new network, mount and process namespaces; FD is a socket whose other end
the rehearsal holds. The plan comes in over it, the listening sockets go out. When that end is closed, by
whomever, this ends, and everything in the lab with it. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

METADATA = "169.254.169.254"  # the link-local address of every OpenStack's metadata service
BRIDGE = "br0"
MTU = 1450  # what overlay networks of clouds leave of 1500
_BACKLOG = 512
_LAST_LOOKS_S = 2.0


class Failed(Exception):
    """A part of the lab can't be made."""


def main() -> None:
    """Build, hand out the sockets, wait, clean up."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nobody but the socket's end ends process 1
    control = socket.socket(fileno=int(sys.argv[1]))
    plan = json.loads(control.recv(1 << 20))
    try:
        family, sockets = _build(plan)
    except (Failed, OSError) as error:
        control.send(json.dumps({"failed": str(error)}).encode())
        return
    message = json.dumps({"family": family}).encode()
    socket.send_fds(control, [message], [each.fileno() for each in sockets])
    for each in sockets:
        each.close()
    _wait(control)
    _end(plan["cgroups"])


def _build(plan: dict[str, Any]) -> tuple[str, list[socket.socket]]:
    """Make everything; return the rules' family and the sockets: services, metadata, way out, names."""
    _run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", plan["directory"]])
    gateway = plan["gateway"]
    lines = [
        "link set lo up", f"link add {BRIDGE} mtu {MTU} type bridge mcast_snooping 0",
        f"addr add {gateway}/{plan['prefix']} dev {BRIDGE}", f"addr add {METADATA}/32 dev {BRIDGE}",
        f"link set {BRIDGE} up",
    ]  # fmt: skip
    _run(["ip", "-batch", "-"], "\n".join(lines))
    networks = Path(plan["directory"], "net")
    networks.mkdir()
    for machine in plan["machines"]:
        _plug(machine, networks / machine["name"], plan)
    anywhere = "0.0.0.0"  # noqa: S104 - of the lab
    served = [(gateway, 0), (METADATA, 80), (anywhere, 0)]
    services, metadata, way_out = (socket.create_server(at, backlog=_BACKLOG) for at in served)
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.bind((gateway, 53))
    return _rule(plan, way_out.getsockname()[1]), [services, metadata, way_out, names]


def _plug(machine: dict[str, str], place: Path, plan: dict[str, Any]) -> None:
    """A network namespace at `place`, with a cable from the bridge."""
    place.touch()
    _run(["unshare", f"--net={place}", "true"])
    cable = f"link add {machine['tap']} mtu {MTU} type veth peer name ens3 mtu {MTU} netns {place}"
    _run(["ip", "-batch", "-"], f"{cable}\nlink set {machine['tap']} master {BRIDGE} up\n")
    own = [
        "link set lo up", f"addr add {machine['address']}/{plan['prefix']} dev ens3", "link set ens3 up",
        f"route add default via {plan['gateway']}",
    ]  # fmt: skip
    _run(["nsenter", f"--net={place}", "ip", "-batch", "-"], "\n".join(own))


def _rule(plan: dict[str, Any], port: int) -> str:
    """Load the rules, in the first family of tables that the kernel can track connections in."""
    sysctl = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    why = ""
    for family, text in plan["rules"].items():
        if family == "inet" and not sysctl.exists():
            why += "; br_netfilter is not loaded: sudo modprobe br_netfilter"
            continue
        if sysctl.exists():
            sysctl.write_text("1" if family == "inet" else "0")
        try:
            _run(["nft", "-f", "-"], f"define way = {port}\n{text}{plan['way_out']}")
        except Failed as error:
            why += f"; {error}"
        else:
            return str(family)
    raise Failed(why.removeprefix("; "))


def _run(argv: list[str], text: str = "") -> None:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise Failed(f"{argv[0]}: {said[0] if said else f'exit code {done.returncode}'}")


def _wait(control: socket.socket) -> None:
    """Bury orphans until the socket's other end is closed."""
    wake, woken = os.pipe()
    for end in (wake, woken):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while control.fileno() not in select.select([control.fileno(), wake], [], [])[0]:
        os.read(wake, 4096)
        _bury()


def _bury() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _end(cgroups: list[str]) -> None:
    """End everything here, so that the machines' cgroups are empty and can be removed."""
    deadline = time.monotonic() + _LAST_LOOKS_S
    left = True
    while left and time.monotonic() < deadline:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        _bury()
        left = False
        for pattern in cgroups:
            for group in Path("/").glob(pattern):
                with contextlib.suppress(OSError):
                    group.rmdir()
                left = left or group.exists()
        if left:
            time.sleep(0.02)


if __name__ == "__main__":
    main()
