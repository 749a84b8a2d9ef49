"""The network of level namespace: a real bridge, real rules, real faults."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cloud.rehearse.lab import CantDo, gateway
from tests.rehearse import labs
from tests.rehearse.labs import listening, reached

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.rehearsal
MASTER = "10.8.0.10"


@pytest.fixture(autouse=True)
def _possible() -> None:
    labs.needed()


@pytest.mark.parametrize("is_member", [True, False])
def test_only_members_reach_every_port(directory: Path, is_member: bool) -> None:
    """From the cluster all is open; from elsewhere, the gateway included, SSH alone."""
    with labs.opened(directory) as level, listening(level, "master", 22, 29500):
        for place in ["worker-1"] if is_member else [labs.stranger(level, directory), None]:
            assert reached(level, place, MASTER, 22) == ""
            assert bool(reached(level, place, MASTER, 29500)) is not is_member


def test_members_reach_what_is_outside(directory: Path) -> None:
    """Egress is open: a member's connection to a stranger, and the answers to it, pass."""
    with labs.opened(directory) as level:
        stranger = labs.stranger(level, directory)
        with listening(level, stranger, 8080):
            assert reached(level, "worker-1", labs.OUTSIDE, 8080) == ""


def test_labs_do_not_see_each_other(directory: Path) -> None:
    """Two rehearsals at once have the same addresses and ports, each its own."""
    with (
        labs.opened(directory / "a") as first,
        labs.opened(directory / "b") as second,
        listening(first, "master", 29500),
    ):
        assert reached(first, "worker-1", MASTER, 29500) == ""
        assert reached(second, "worker-1", MASTER, 29500)
        with listening(second, "master", 29500):
            assert reached(second, "worker-1", MASTER, 29500) == ""


def test_without_a_group_everything_is_open(directory: Path) -> None:
    """A cluster without security groups has no rules, as on bare metal."""
    with labs.opened(directory, group=None) as level, listening(level, "master", 29500):
        assert reached(level, labs.stranger(level, directory), MASTER, 29500) == ""


def test_root_on_a_machine_sees_no_rules(directory: Path) -> None:
    """The group's rules are on the bridge: nothing on a machine can list or flush them."""
    with labs.opened(directory) as level:
        listed = subprocess.run(
            [*level.inside("master"), "nft", "list", "ruleset"], capture_output=True, check=True
        )
        assert listed.stdout == b""


def test_a_cut_cable_is_silent_and_can_be_mended(directory: Path) -> None:
    """Nothing answers while it is cut, in neither direction; afterwards all is as before."""
    with labs.opened(directory) as level, listening(level, "master", 29500):
        assert reached(level, "worker-1", MASTER, 29500) == ""
        level.link("worker-1", False)
        assert reached(level, "worker-1", MASTER, 29500)
        level.link("worker-1", True)
        assert reached(level, "worker-1", MASTER, 29500) == ""


def test_cables_are_shaped_in_both_directions(directory: Path) -> None:
    """Both ends of every cable have the rate."""
    with labs.opened(directory) as level:
        level.shape("100mbit")
        for name, cable in ((None, "tap0"), (None, "tap1"), ("master", "ens3"), ("worker-1", "ens3")):
            command = [*level.inside(name), "tc", "qdisc", "show", "dev", cable]
            shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            assert "tbf" in shown
            assert "rate 100Mbit" in shown
        with pytest.raises(CantDo, match="rate"):
            level.shape("quick")


@pytest.mark.parametrize("name", [None, "worker-1"])
def test_blocked_ports_leave_the_coordinators(directory: Path, name: str | None) -> None:
    """TCP between machines is dropped but for port 5170; a machine that was not named keeps its own."""
    with labs.opened(directory, workers=2) as level, listening(level, "master", 29500, 5170):
        level.block_ports(name)
        assert reached(level, "worker-1", MASTER, 29500)
        assert reached(level, "worker-1", MASTER, 5170) == ""
        assert bool(reached(level, "worker-2", MASTER, 29500)) is (name is None)


@contextmanager
def name_server() -> Iterator[tuple[str, int]]:
    """One of this computer: every question comes back as its own answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def serve() -> None:
            while (asked := server.recvfrom(512))[0]:
                server.sendto(*asked)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()
        finally:
            server.sendto(b"", server.getsockname())  # ends it
            thread.join()


def test_names_are_answered_until_they_are_blocked(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway passes questions on to this computer's resolver; a fault drops those of one machine."""
    ask = """
import socket, sys
question = bytes.fromhex("12340100000100000000000007") + b"invalid" + bytes.fromhex("0000010001")
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
    asked.settimeout(6)
    asked.sendto(question, ("10.8.0.1", 53))
    sys.exit(asked.recv(512)[:2] != question[:2])
"""

    def is_answered(name: str) -> bool:
        command = [*level.inside(name), sys.executable, "-I", "-c", ask]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    with name_server() as server:
        monkeypatch.setattr(gateway, "resolvers", lambda _: [server])
        with labs.opened(directory) as level:
            assert is_answered("worker-1")
            level.block_names("worker-1")
            assert not is_answered("worker-1")
            assert is_answered("master")


def test_packets_are_lost_by_a_rule(directory: Path) -> None:
    """The loss stands between machines, as a part of ten thousand."""
    with labs.opened(directory) as level:
        level.loss(2.5)
        listed = [*level.inside(), "nft", "list", "ruleset"]
        shown = subprocess.run(listed, capture_output=True, text=True, check=True).stdout
        assert "numgen random mod 10000 < 250" in shown


@contextmanager
def web_server(address: str) -> Iterator[int]:
    """A server of this computer; what it is asked for is a megabyte."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(1 << 20))
            self.end_headers()
            self.wfile.write(bytes(1 << 20))

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer((address, 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def test_the_way_out_is_this_computers(directory: Path) -> None:
    """A machine reaches what this computer reaches, without a change of its network; its loopback stays closed."""
    address = labs.own_address()
    if not address:
        pytest.skip("this computer has no network beyond its loopback")
    fetch = "import sys, urllib.request; print(len(urllib.request.urlopen(sys.argv[1], timeout=5).read()))"
    before = subprocess.run(["nft", "list", "ruleset"], capture_output=True, check=False).stdout
    with labs.opened(directory) as level, web_server(address) as port, web_server("127.0.0.1") as hidden:

        def fetched(url: str) -> str:
            command = [*level.inside("worker-1"), sys.executable, "-I", "-c", fetch, url]
            return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

        assert fetched(f"http://{address}:{port}/") == str(1 << 20)
        assert fetched(f"http://127.0.0.1:{hidden}/") == ""
        assert fetched(f"http://169.254.1.1:{port}/") == ""
        assert reached(level, "worker-1", "198.51.100.1", 9)  # nobody is there: an end, not a hang
        assert subprocess.run(["nft", "list", "ruleset"], capture_output=True, check=False).stdout == before
