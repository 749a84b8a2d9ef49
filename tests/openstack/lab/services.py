"""The table of services: how each is started, what it needs before, and how one sees that it is there."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.openstack.lab import place, rest, schemas
from tests.openstack.lab.connections import PORTS, url
from tests.openstack.lab.processes import Command

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE_S = 180.0  # for one service on a machine that is busy with others
NOVA = ("nova-api-tables", "nova-tables", "cell0-tables", "rabbitmq", "identity")
UWSGI = (
    "uwsgi_python3", "--master", "--lazy-apps", "--enable-threads", "--die-on-term", "--need-app", "--thunder-lock",
    "--disable-logging", "--buffer-size=65535", "--listen=1024",
    "--add-header=Connection: close",  # else clients keep a connection that uwsgi closes: 503 in keystonemiddleware
)  # fmt: skip


@dataclass(frozen=True)
class Service:
    """A part of the lab that runs."""

    command: Command
    needs: tuple[str, ...]
    """Steps and services that come before."""
    is_there: Callable[[float], bool]
    """Called with the seconds since its start."""


def services() -> dict[str, Service]:
    """Every service by name, in an order in which they can be stopped backwards."""
    table = [
        _service("mariadb", ("mariadb-files",), _speaks(3306), "mariadbd", f"--defaults-file={_etc('mariadb.cnf')}"),
        _service("memcached", (), _speaks(11211, b"version\r\n"), *_memcached()),
        _service("epmd", (), _speaks(4369, b"\x00\x01n"), "epmd", "-address", "127.0.0.1"),
        _service("rabbitmq", ("epmd",), _speaks(5672, b"AMQP\0\0\x09\x01"), *_rabbitmq(), **_rabbitmq_settings()),
        _service(
            "keystone", ("keystone-tables", "memcached"), _answers("keystone", "/v3"),
            *_wsgi("keystone", "/usr/bin/keystone-wsgi-public", processes=2),
            OS_KEYSTONE_CONFIG_DIR=_etc("keystone"), OS_KEYSTONE_CONFIG_FILES=_etc("keystone/keystone.conf"),
        ),
        _service(
            "placement", ("placement-tables", "identity"), _answers("placement"),
            *_wsgi("placement", "/usr/bin/placement-api", processes=1), OS_PLACEMENT_CONFIG_DIR=_etc("placement"),
        ),
        _service("glance", ("glance-tables", "identity"), _answers("glance"), *_plain("glance-api", "glance/glance-api.conf")),
        _service(
            "neutron-server", ("neutron-tables", "identity", "rabbitmq"), _answers("neutron"),
            *_plain("neutron-server", "neutron/neutron.conf", "neutron/ml2.ini"),
        ),
        _service(  # in a mount namespace too: it looks for interfaces in /sys
            "neutron-agent", ("neutron-server",), _wrote("SELECT heartbeat_timestamp FROM neutron.agents"),
            "ip", "netns", "exec", place.NAMESPACE,
            *_plain("neutron-linuxbridge-agent", "neutron/neutron.conf", "neutron/ml2.ini"),
        ),
        _nova("nova-conductor", *NOVA),
        _nova("nova-scheduler", *NOVA),
        _service(
            "nova-api", NOVA, _answers("nova"), *_plain("nova-api", "nova/nova.conf")
        ),
        _nova("nova-compute", "nova-conductor", "placement"),
        _service("heat-api", ("heat-tables", "rabbitmq", "identity"), _answers("heat"), *_plain("heat-api", "heat/heat.conf")),
        _service(
            "heat-engine", ("heat-tables", "rabbitmq", "identity"), _wrote("SELECT created_at FROM heat.service"),
            *_plain("heat-engine", "heat/heat.conf"),
        ),
    ]  # fmt: skip
    return {service.command.name: service for service in table}


def _service(
    name: str, needs: tuple[str, ...], is_there: Callable[[float], bool], *words: str, **environment: str
) -> Service:
    return Service(Command(name, words, environment), needs, is_there)


def _nova(name: str, *needs: str) -> Service:
    rows = f"SELECT COALESCE(updated_at, created_at) FROM nova.services WHERE `binary` = '{name}'"
    return _service(name, needs, _wrote(rows), *_plain(name, "nova/nova.conf"))


def _plain(program: str, *files: str) -> tuple[str, ...]:
    return (program, *(f"--config-file={_etc(name)}" for name in files))


def _wsgi(name: str, file: str, *, processes: int) -> tuple[str, ...]:
    return (
        *UWSGI,
        f"--http-socket=0.0.0.0:{PORTS[name]}",
        f"--processes={processes}",
        "--threads=4",
        f"--wsgi-file={file}",
    )


def _memcached() -> tuple[str, ...]:
    return ("memcached", "-u", "nobody", "-l", "127.0.0.1", "-p", "11211", "-m", "256", "-c", "4096")


def _rabbitmq() -> tuple[str, ...]:
    """Debian's own wrapper would start it by su, in a session that nobody here knows."""
    return (
        "setpriv", "--reuid=rabbitmq", "--regid=rabbitmq", "--init-groups",
        "/usr/lib/rabbitmq/bin/rabbitmq-server",
    )  # fmt: skip


def _rabbitmq_settings() -> dict[str, str]:
    own = place.home() / "rabbitmq"
    return {
        "HOME": str(own),  # the Erlang cookie
        "RABBITMQ_NODENAME": "lab@localhost",
        "RABBITMQ_CONFIG_FILE": _etc("rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(own / "plugins"),
        "RABBITMQ_MNESIA_BASE": str(own / "mnesia"),
        "RABBITMQ_LOG_BASE": str(own / "log"),
        "RABBITMQ_PID_FILE": str(own / "pid"),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    }


def _speaks(port: int, question: bytes = b"") -> Callable[[float], bool]:
    """Whether somebody at the port answers a question, or greets."""

    def ask(_: float) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
                connection.sendall(question)
                return bool(connection.recv(1))
        except OSError:
            return False

    return ask


def _answers(service: str, path: str = "/") -> Callable[[float], bool]:
    return lambda _: rest.answers(url(service, place.ADDRESS) + path)


def _wrote(times: str) -> Callable[[float], bool]:
    """Whether a service without an API has given a sign of life to the database since its start."""

    def ask(seconds: float) -> bool:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() - seconds - 1))
        try:
            return any(line >= since for line in schemas.sql(times + ";").splitlines())
        except place.CannotRun:
            return False

    return ask


def _etc(name: str) -> str:
    return str(place.home() / "etc" / name)
