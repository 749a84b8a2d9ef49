"""Ray's dashboard on the master, read from here through `hotrun tunnel STACK ray` and a real sshd."""

from __future__ import annotations

import http.client
import ipaddress
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloud.look.over_ssh import PORTS
from cloud.node import blame
from tests.engines.ray.conftest import needs_ray
from tests.engines.ray.drivers import DEADLINE_S, clean_environment, wait
from tests.engines.ray.heads import Head, head, launched
from tests.ports import is_free
from tests.ssh.conftest import site
from tests.ssh.looking import Command

pytestmark = [pytest.mark.process, pytest.mark.network, needs_ray]
__all__ = ["site"]  # a fixture


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    """A head whose dashboard listens; both end with the tests of this file."""
    with head(tmp_path_factory.mktemp("head")) as found:
        wait(lambda: not is_free(found.dashboard), "the dashboard")
        yield found
    wait(lambda: is_free(found.dashboard), "the dashboard's end with its Ray")


def test_the_heads_dashboard_is_read_through_the_tunnel(site: Any, started: Head) -> None:
    """The page comes to everybody who has the tunnel, what it shows only with the stack's token."""
    job = site.master.root / "etc/hotrun/job.json"
    job.parent.mkdir(parents=True)
    job.write_text(json.dumps({"secret": started.secret}))
    there = started.dashboard
    with Command("tunnel", "digits", "ray", "--json", site=site, named={"ray": there}) as command:
        assert command.process.stdout is not None
        told = json.loads("".join(iter(command.process.stdout.readline, "}\n")) + "}")
        assert told["machine_port"] == there != told["port"], command.said()
        told["token"] = started.launch.environment["RAY_AUTH_TOKEN"]
        wait(lambda: asked(told["port"], "/")[0] == 200, "its page")
        assert "Ray Dashboard" in asked(told["port"], "/")[1]
        assert asked(told["port"], "/nodes?view=summary")[0] == 401
        assert asked(told["port"], "/nodes?view=summary", "0" * 64)[0] == 403
        wait(lambda: len(nodes(told)) == 1, "the head, which is alone, among its machines")
        assert command.end() == 0, command.said()
        assert "asks once for a token" in command.said()
        assert told["token"] not in command.said(), "what may become a file has no secret"


def asked(port: int, path: str, token: str = "") -> tuple[int, str]:
    """Status and text of a page; (0, "") while there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


def nodes(told: dict[str, Any]) -> list[dict[str, Any]]:
    """The machines that the dashboard shows."""
    status, text = asked(told["port"], "/nodes?view=summary", told["token"])
    found: list[dict[str, Any]] = json.loads(text)["data"]["summary"] if status == 200 else []
    return [each for each in found if each.get("raylet", {}).get("state") == "ALIVE"]


def test_the_dashboard_listens_on_the_master_alone(started: Head) -> None:
    """On 127.0.0.1 and no other address, while the head itself listens for the other machines."""
    assert listeners(started.dashboard) == {"127.0.0.1"}
    assert listeners(started.port) != {"127.0.0.1"}


def listeners(port: int) -> set[str]:
    """Addresses at which somebody listens at a port, as the kernel tells."""
    found = set()
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            words = line.split()
            address, _, number = words[1].partition(":")
            if words[3] == "0A" and int(number, 16) == port:
                parts = [bytes.fromhex(address[at : at + 8]) for at in range(0, len(address), 8)]
                packed = b"".join(part[::-1] if sys.byteorder == "little" else part for part in parts)
                one = ipaddress.ip_address(packed)
                found.add(str(getattr(one, "ipv4_mapped", None) or one))
    return found


def test_a_cloud_has_it_where_the_tunnel_leads() -> None:
    """The tests above have a port of their own, machines the one that `tunnel STACK ray` means."""
    assert f"--dashboard-port={PORTS['ray']}" in launched("s", "run", first_port=0).service


def test_a_machine_with_another_token_is_told_so(started: Head, tmp_path: Path) -> None:
    """Ray's own last words come home as the reason; no token is among them."""
    other = launched("another", "test-other", node_rank=1, port=started.port)
    ended = subprocess.run(
        [sys.executable, *other.service], cwd=tmp_path, env={**clean_environment(), **other.environment}, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=DEADLINE_S,
    )  # fmt: skip
    assert ended.returncode == 1, ended.stdout
    assert "AuthenticationError" in blame.exception(ended.stdout.splitlines()), ended.stdout
    assert other.environment["RAY_AUTH_TOKEN"] not in ended.stdout
