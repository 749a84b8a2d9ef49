"""The lab's settings: one table per service -> files below etc/. Written anew at every `up`."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tests.openstack.lab import place
from tests.openstack.lab.compute import agent, neutron, nova
from tests.openstack.lab.connections import (
    PORTS,
    Settings,
    authtoken,
    cache,
    connection,
    database,
    rabbit,
    url,
)

if TYPE_CHECKING:
    from pathlib import Path


def write(home: Path) -> None:
    """Write every file; only root reads those that hold the password."""
    etc = home / "etc"
    files = {
        "mariadb.cnf": mariadb(home),
        "keystone/keystone.conf": keystone(home),
        "glance/glance-api.conf": glance(home),
        "placement/placement.conf": placement(),
        "nova/nova.conf": nova(home),
        "neutron/neutron.conf": neutron(home),
        "neutron/ml2.ini": agent(),
        "heat/heat.conf": heat(home),
    }
    for name, settings in files.items():
        path = etc / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(text(settings), encoding="utf-8")
    (etc / "mariadb.cnf").chmod(0o644)  # no secret; read by the user mysql
    _write_rabbitmq(etc / "rabbitmq.conf")
    for folder in ("environment.d", "templates"):
        (etc / "heat" / folder).mkdir(exist_ok=True)


def text(settings: Settings) -> str:
    """Settings as oslo.config and MariaDB read them."""
    blocks = []
    for section, values in settings.items():
        lines = [f"[{section}]", *(f"{key} = {_word(value)}" for key, value in values.items())]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def _write_rabbitmq(path: Path) -> None:
    """One user, made at the first start: no call of rabbitmqctl, which takes seconds."""
    settings = {
        "listeners.tcp.1": "127.0.0.1:5672",
        "default_user": "lab",
        "default_pass": place.password(),
        "consumer_timeout": 86_400_000,  # milliseconds; a stack may be made for longer than the default half hour
        "log.console": "true",
    }
    path.touch(mode=0o600)
    path.write_text("".join(f"{key} = {value}\n" for key, value in settings.items()), encoding="ascii")
    shutil.chown(path, "rabbitmq", "rabbitmq")


def mariadb(home: Path) -> Settings:
    """Small and fast rather than safe: its data last as long as the lab."""
    return {
        "mariadbd": {
            "user": "mysql",
            "datadir": home / "mariadb",
            "socket": home / "mariadb" / "socket",
            "pid-file": home / "mariadb" / "pid",
            "bind-address": "127.0.0.1",
            "skip-name-resolve": 1,
            "skip-log-bin": 1,
            "performance_schema": "OFF",
            "innodb_flush_log_at_trx_commit": 0,
            "innodb_doublewrite": 0,
            "innodb_buffer_pool_size": "512M",
            "innodb_log_file_size": "128M",
            "max_connections": 2000,
            "max_connect_errors": 1000000,
            "max_allowed_packet": "64M",
            "character-set-server": "utf8mb3",  # as Heat 19 expects: 4-byte characters are refused, tests rely on it
            "collation-server": "utf8mb3_general_ci",
        }
    }


def keystone(home: Path) -> Settings:
    """Debian's defaults, application credentials' refusal of trusts among them."""
    return {
        "DEFAULT": {"use_stderr": True},
        "database": {"connection": connection("keystone")},
        "token": {"provider": "fernet", "expiration": 86400},
        "fernet_tokens": {"key_repository": home / "keystone" / "fernet"},
        "fernet_receipts": {"key_repository": home / "keystone" / "fernet"},
        "credential": {"key_repository": home / "keystone" / "credential"},
        "identity": {"password_hash_rounds": 4},  # bcrypt's least: a login takes milliseconds
        "cache": cache(),
    }


def glance(home: Path) -> Settings:
    """Images as files."""
    return {
        "DEFAULT": {
            "bind_port": PORTS["glance"],
            "workers": 1,
            "use_stderr": True,
            "enabled_backends": "file:file",
            "transport_url": rabbit(),
        },
        "database": database("glance"),
        "glance_store": {"default_backend": "file"},
        "file": {"filesystem_store_datadir": home / "glance"},
        "paste_deploy": {"flavor": "keystone", "config_file": "/etc/glance/glance-api-paste.ini"},
        "oslo_messaging_notifications": {"driver": "noop"},
        "keystone_authtoken": authtoken("glance"),
    }


def placement() -> Settings:
    """What holds the inventory of hosts."""
    return {
        "DEFAULT": {"use_stderr": True},
        "placement_database": {"connection": connection("placement"), "max_pool_size": 20},
        "api": {"auth_strategy": "keystone"},
        "keystone_authtoken": authtoken("placement"),
    }


def heat(home: Path) -> Settings:
    """Convergence with two engine workers, as Debian has it. No CFN API: no template here asks for it."""
    return {
        "DEFAULT": {
            "transport_url": rabbit(),
            "use_stderr": True,
            "num_engine_workers": 2,
            "rpc_response_timeout": 300,  # one engine asks another; 254 workers on two cores need more than 60 s
            "stack_domain_admin": "heat_domain_admin",
            "stack_domain_admin_password": place.password(),
            "stack_user_domain_name": "heat",
            "region_name_for_services": place.REGION,
            "auth_encryption_key": place.password(),  # 32 characters
            "plugin_dirs": "",
            "environment_dir": home / "etc" / "heat" / "environment.d",
            "template_dir": home / "etc" / "heat" / "templates",
        },
        "database": database("heat"),
        "heat_api": {"bind_host": "0.0.0.0", "bind_port": PORTS["heat"], "workers": 2},
        "paste_deploy": {"api_paste_config": "/etc/heat/api-paste.ini"},
        "cache": cache(),
        "clients": {"endpoint_type": "publicURL"},
        "clients_keystone": {"auth_uri": url("keystone", place.ADDRESS)},
        "trustee": {
            "auth_type": "password",
            "auth_url": url("keystone"),
            "username": "heat",
            "password": place.password(),
            "user_domain_name": "Default",
        },
        "oslo_messaging_notifications": {"driver": "noop"},
        "keystone_authtoken": authtoken("heat"),
    }


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
