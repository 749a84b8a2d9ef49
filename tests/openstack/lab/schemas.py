"""What is made once on disk before services start: MariaDB's files, databases, their tables, Keystone's keys."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from tests.openstack.lab import place, processes
from tests.openstack.lab.connections import connection, url

if TYPE_CHECKING:
    from pathlib import Path

DATABASES = ("keystone", "glance", "placement", "nova_api", "nova", "nova_cell0", "neutron", "heat")
_DEADLINE_S = 300


def directories() -> None:
    """Make the folders of services, each its user's own."""
    home = place.home()
    for name in ("log", "run", "done", "glance", "nova/instances", "nova/lock", "neutron/lock"):
        (home / name).mkdir(parents=True, exist_ok=True)
    for name in ("keystone/fernet", "keystone/credential"):
        (home / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, owner in (("mariadb", "mysql"), ("rabbitmq", "rabbitmq")):
        (home / name).mkdir(mode=0o700, exist_ok=True)
        shutil.chown(home / name, owner, owner)


def mariadb_files() -> None:
    """Make an empty MariaDB."""
    _run(
        "mariadb-install-db", f"--defaults-file={_etc('mariadb.cnf')}", "--user=mysql",
        "--auth-root-authentication-method=socket", "--skip-test-db",
    )  # fmt: skip


def databases() -> None:
    """Make the databases and the one user that all services share."""
    lines = [f"CREATE DATABASE {name};" for name in DATABASES]
    for host in ("127.0.0.1", "localhost"):
        lines.append(f"CREATE USER 'lab'@'{host}' IDENTIFIED BY '{place.password()}';")
        lines.append(f"GRANT ALL ON *.* TO 'lab'@'{host}';")
    sql("\n".join(lines))


def sql(statements: str) -> str:
    """What MariaDB answers to root, without headings; raises CannotRun with its words."""
    words = ["mariadb", "--no-defaults", "--batch", "--skip-column-names"]
    socket = place.home() / "mariadb" / "socket"
    done = subprocess.run(
        [*words, f"--socket={socket}"],
        input=statements,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if done.returncode:
        raise place.CannotRun(f"MariaDB: {done.stderr.strip()}")
    return done.stdout


def keystone() -> None:
    """Make Keystone's keys, tables, admin and own endpoints."""
    manage = ("keystone-manage", f"--config-file={_etc('keystone/keystone.conf')}")
    for keys in ("fernet", "credential"):
        for number in ("0", "1"):  # the next one and the one in use; what `fernet_setup` makes within seconds
            path = place.home() / "keystone" / keys / number
            path.touch(mode=0o600)
            path.write_bytes(base64.urlsafe_b64encode(os.urandom(32)))
    _run(*manage, "db_sync")
    bootstrap = {
        "OS_BOOTSTRAP_PASSWORD": place.password(),  # not in the list of processes
        "OS_BOOTSTRAP_REGION_ID": place.REGION,
        "OS_BOOTSTRAP_PUBLIC_URL": url("keystone", place.ADDRESS) + "/v3",
        "OS_BOOTSTRAP_INTERNAL_URL": url("keystone") + "/v3",
        "OS_BOOTSTRAP_ADMIN_URL": url("keystone") + "/v3",
    }
    _run(*manage, "bootstrap", environment=bootstrap)


def glance() -> None:
    """Make Glance's tables."""
    _run("glance-manage", f"--config-file={_etc('glance/glance-api.conf')}", "db_sync")


def placement() -> None:
    """Make Placement's tables."""
    _run("placement-manage", f"--config-file={_etc('placement/placement.conf')}", "db", "sync")


def heat() -> None:
    """Make Heat's tables."""
    _run("heat-manage", f"--config-file={_etc('heat/heat.conf')}", "db_sync")


def neutron() -> None:
    """Make Neutron's tables."""
    files = (f"--config-file={_etc(name)}" for name in ("neutron/neutron.conf", "neutron/ml2.ini"))
    _run("neutron-db-manage", *files, "upgrade", "head")


def nova_api() -> None:
    """Make the tables that all cells share, and Nova's two cells: the real one, and that of servers never placed."""
    nova_manage("api_db", "sync")
    nova_manage("cell_v2", "map_cell0")  # its address is the cell's own with _cell0 behind
    nova_manage("cell_v2", "create_cell", "--name=cell1")


def nova() -> None:
    """Make the tables of Nova's real cell; beside the others, for they are the slowest part of the lab."""
    nova_manage("db", "sync", "--local_cell")


def nova_cell0() -> None:
    """Make the tables of the other cell, whose address oslo.config reads from the environment."""
    nova_manage(
        "db", "sync", "--local_cell", environment={"OS_DATABASE__CONNECTION": connection("nova_cell0")}
    )


def discover_hosts() -> None:
    """Tell Nova's scheduler of the compute service at once; by itself it looks every now and then."""
    nova_manage("cell_v2", "discover_hosts")


def nova_manage(*words: str, environment: dict[str, str] | None = None) -> None:
    """One call of nova-manage."""
    _run("nova-manage", f"--config-file={_etc('nova/nova.conf')}", *words, environment=environment)


def _etc(name: str) -> Path:
    return place.home() / "etc" / name


def _run(*words: str, environment: dict[str, str] | None = None) -> None:
    """Run a program of Debian's with its output in the log; raises CannotRun with its end."""
    own = {**processes.environment("step"), **(environment or {})}
    log = place.home() / "log" / f"{os.path.basename(words[0])}.log"  # noqa: PTH119 - a name, not a path
    done = subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=own,
        check=False,
        timeout=_DEADLINE_S,
    )
    with log.open("a", encoding="utf-8") as out:
        out.write(done.stdout + done.stderr)
    if done.returncode:
        end = "\n  ".join((done.stdout + done.stderr).splitlines()[-5:])
        raise place.CannotRun(f"{words[0]} failed; {log} ends with\n  {end}")
