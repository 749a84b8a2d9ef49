"""Who reaches whom, and how: ports, logins, databases, queues. What every service's settings share."""

from __future__ import annotations

from tests.openstack.lab import place

Settings = dict[str, dict[str, object]]

PORTS = {  # of every API, on all addresses of the namespace
    "keystone": 5000, "glance": 9292, "placement": 8778, "nova": 8774, "metadata": 8775, "neutron": 9696, "heat": 8004,
}  # fmt: skip
MEMCACHED = "127.0.0.1:11211"


def url(service: str, host: str = "127.0.0.1") -> str:
    """The address of an API; services ask each other on the loopback interface."""
    return f"http://{host}:{PORTS[service]}"


def authtoken(user: str) -> dict[str, object]:
    """How a service checks the tokens that it is shown."""
    return {
        "www_authenticate_uri": url("keystone", place.ADDRESS),
        **credentials(user),
        "memcached_servers": MEMCACHED,
        "service_token_roles_required": True,
    }


def credentials(user: str) -> dict[str, object]:
    """How a service logs in."""
    return {
        "auth_url": url("keystone"),
        "auth_type": "password",
        "project_domain_name": "Default",
        "user_domain_name": "Default",
        "project_name": "service",
        "username": user,
        "password": place.password(),
        "region_name": place.REGION,
    }


def database(name: str) -> dict[str, object]:
    """A database that may come and go."""
    return {"connection": connection(name), "max_pool_size": 20, "max_overflow": 100, "max_retries": -1}


def connection(name: str) -> str:
    """SQLAlchemy's address of a database."""
    return f"mysql+pymysql://lab:{place.password()}@127.0.0.1/{name}?charset=utf8"


def rabbit() -> str:
    """oslo.messaging's address of RabbitMQ."""
    return f"rabbit://lab:{place.password()}@127.0.0.1:5672/"


def cache() -> dict[str, object]:
    """Where services keep tokens and answers for a while."""
    return {"enabled": True, "backend": "dogpile.cache.memcached", "memcache_servers": MEMCACHED}
