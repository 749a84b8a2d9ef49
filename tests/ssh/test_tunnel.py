"""`hotrun tunnel STACK PORT`: bytes through a real sshd, both ways."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from cloud.stack.inside.board import DASHBOARDS
from tests.ssh.looking import WAIT_S, Command, boards, listening, make_environment, until, write_events

pytestmark = [pytest.mark.process, pytest.mark.network]


def echoed(port: int, text: bytes) -> bytes:
    """What comes back through a port."""
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as one:
        one.sendall(text + b"\n")
        with one.makefile("rb") as answer:
            return answer.readline().rstrip(b"\n")


def test_a_tunnel_carries_bytes_until_ctrl_c(site: Any) -> None:
    """To a port of the master and back, many at once; then nobody listens here and no process is left."""
    with listening() as there, Command("tunnel", "digits", str(there), site=site) as command:
        here = command.port()
        assert here != there  # master and person share 127.0.0.1 in this test
        text = b"x" * 3_000_000
        assert echoed(here, text) == text
        assert [echoed(here, b"%d" % number) for number in range(20)] == [b"%d" % n for n in range(20)]
        assert command.end() == 0, command.said()
        assert "the tunnel has ended" in command.said()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", here)) != 0
    until("an end of all processes", lambda: not boards(site.master.root))


def test_a_port_at_which_nobody_listens_has_a_name(site: Any) -> None:
    """Exit 3; for a port with a name the sentence says who would listen there."""
    with listening() as free:
        pass
    for word, said in (
        (str(free), "name the port"),
        ("ray", "comes and goes with a run of Ray"),
        ("tensorboard", "hotrun tensorboard"),
    ):
        named = {} if word.isdigit() else {word: free}
        with Command("tunnel", "digits", word, site=site, named=named) as command:
            assert command.process.wait(WAIT_S) == 3, command.said()
            assert "nothing-listens" in command.said()
            assert said in command.said()


@pytest.mark.parametrize(
    ("modules", "code", "said"),
    [
        ((), "nothing-listens", "has no Ray in its environment"),
        (("ray", "aiohttp", "grpc"), "no-dashboard", "aiohttp_cors is missing"),
        (DASHBOARDS["ray"], "nothing-listens", "comes and goes with a run of Ray"),
    ],
)  # fmt: skip
def test_a_dashboard_that_is_not_installed_has_a_name(
    site: Any, tmp_path: Path, modules: tuple[str, ...], code: str, said: str
) -> None:
    """Exit 3, with what is missing in the environment of the program and what to add to its requirements."""
    packages = tmp_path / "lib"
    for module in modules:
        (packages / "python3.11/site-packages" / module).mkdir(parents=True)
    packages.mkdir(exist_ok=True)
    make_environment(site.master.root, packages=packages)
    site.master.training()
    with listening() as free:
        pass
    with Command("tunnel", "digits", "ray", site=site, named={"ray": free}) as command:
        assert command.process.wait(WAIT_S) == 3, command.said()
        assert code in command.said()
        assert said in " ".join(command.said().split())
        assert ("ray[default]" in command.said()) == (code == "no-dashboard")


@pytest.mark.parametrize("word", ["rays", "0", "65536", "-1x", "٣"])
def test_a_word_that_is_no_port_is_refused(site: Any, word: str) -> None:
    """Exit 2, before anything is asked."""
    with Command("tunnel", "digits", "--", word, site=site) as command:
        assert command.process.wait(WAIT_S) == 2


def test_a_port_that_is_no_longer_listened_at_is_said(site: Any) -> None:
    """The tunnel stays: a service may come back."""
    with listening() as there:
        command = Command("tunnel", "digits", str(there), site=site)
        here = command.port()
    with command:
        until("the sentence", lambda: "not listened at any more" in command.said())
        with listening(there):
            until("the sentence", lambda: "listened at again" in command.said())
            assert echoed(here, b"back") == b"back"
        assert command.end() == 0


def test_an_sshd_that_forwards_nothing_is_named(site: Any) -> None:
    """For TensorBoard exit 4: its page would never come."""
    authorized = site.master.place / "authorized"
    authorized.write_text("no-port-forwarding " + authorized.read_text())
    make_environment(site.master.root)
    write_events(site.master.training() / "results", [1.0])
    with Command("tensorboard", "digits", "--no-browser", site=site) as command:
        assert command.process.wait(WAIT_S) == 4
        assert "tunnel-refused" in command.said()
    with listening() as there, Command("tunnel", "digits", str(there), site=site) as command:
        command.port()
        assert "tunnel-refused" in command.said()
        assert command.end() == 0
    until("an end of all processes", lambda: not boards(site.master.root))


def test_a_master_that_is_off_is_named(site: Any) -> None:
    """As for `logs` and `fetch`."""
    site.master.stop()
    with Command("tunnel", "digits", "ray", site=site) as command:
        assert command.process.wait(WAIT_S) == 4
        assert "ssh-unreachable" in command.said()
