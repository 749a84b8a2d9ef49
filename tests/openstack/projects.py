"""A project of the lab for one test: its own user, its cloud as the program sees it, and what a test does as the admin."""

from __future__ import annotations

import base64
import json
import os
import secrets
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import openstack

from cloud.stack.sdk import Sdk
from tests.openstack.lab import seed

if TYPE_CHECKING:
    from openstack.connection import Connection

    from cloud.stack.api import Cloud

CLIENT_S = 120
EMPTY_S = 240  # until a project's stacks are deleted
USER_DATA_VERSION = "2.90"  # of Nova's API: the admin may read a server's user data


def admin() -> Connection:
    """A connection as the lab's admin."""
    return connect(seed.environment())


def connect(environ: dict[str, str]) -> Connection:
    """A connection from OS_* alone: no clouds.yaml and no variable of the machine's own."""
    return openstack.connect(
        load_envvars=False,
        load_yaml_config=False,
        app_name="hotrun-tests",
        auth_url=environ["OS_AUTH_URL"],
        username=environ["OS_USERNAME"],
        password=environ["OS_PASSWORD"],
        project_name=environ["OS_PROJECT_NAME"],
        user_domain_name=environ["OS_USER_DOMAIN_NAME"],
        project_domain_name=environ["OS_PROJECT_DOMAIN_NAME"],
        region_name=environ["OS_REGION_NAME"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project with one user, who may do what members may."""

    name: str
    id: str
    user_id: str
    environ: dict[str, str]
    """OS_* of the user, for a process."""
    admin: Connection
    connection: Connection
    """As the user."""
    cloud: Cloud
    """As the user, the way the program sees it."""

    def login(self) -> tuple[str, dict[str, str]]:
        """Region, and what stands below `auth` in a clouds.yaml."""
        words = {
            key.removeprefix("OS_").lower(): value
            for key, value in self.environ.items()
            if key.startswith("OS_")
        }
        region = words.pop("region_name")
        words.pop("identity_api_version", None)
        return region, words

    def openstack(self, *words: str) -> str:
        """What Debian's `openstack` client prints to the user; raises CalledProcessError with its words."""
        environ = {"PATH": os.defpath, "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", **self.environ}
        done = subprocess.run(
            ["/usr/bin/openstack", *words],
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=CLIENT_S,
        )
        if done.returncode:
            raise subprocess.CalledProcessError(
                done.returncode, ["openstack", *words], done.stdout, done.stderr
            )
        return done.stdout

    def set_quota(self, **limits: int) -> None:
        """Set limits of Nova (instances, cores, ram in MiB) and Neutron (ports, networks, floating_ips, …)."""
        compute = {
            name: limits.pop(name) for name in ("instances", "cores", "ram", "key_pairs") if name in limits
        }
        if compute:
            self.admin.compute.update_quota_set(self.id, **compute)
        if limits:
            self.admin.network.update_quota(self.id, **limits)

    def expire_tokens(self) -> None:
        """Make every token that the user has invalid at once, everywhere; the password stays the same."""
        url = f"{self.environ['OS_AUTH_URL']}/users/{self.user_id}"
        body = {"user": {"password": self.environ["OS_PASSWORD"]}}  # Keystone revokes at any change of it
        self.admin.session.patch(url, json=body)
        with socket.create_connection(("127.0.0.1", 11211), timeout=10) as memcached:
            memcached.sendall(b"flush_all\r\n")  # else services believe a token for five minutes
            memcached.recv(64)
        time.sleep(1.1)  # Keystone counts in whole seconds: a token of this one would be revoked too

    def job(self, server_id: str) -> dict[str, Any]:
        """The job that Heat wrote into a machine's user data."""
        server = self.admin.session.get(
            f"/servers/{server_id}",
            endpoint_filter={"service_type": "compute"},
            microversion=USER_DATA_VERSION,
        ).json()["server"]
        text = base64.b64decode(server["OS-EXT-SRV-ATTR:user_data"]).decode()
        line = next(line for line in text.splitlines() if line.startswith('{"') and '"signal"' in line)
        return dict(json.loads(line))

    def empty(self) -> None:
        """Delete the project's stacks and wait until they are gone; whatever else a test made is its own affair."""
        until = time.monotonic() + EMPTY_S
        while stacks := list(self.connection.orchestration.stacks()):
            for stack in stacks:
                if not stack.status.startswith("DELETE_IN"):
                    self.connection.orchestration.delete_stack(stack.id, ignore_missing=True)
            if time.monotonic() > until:
                names = ", ".join(f"{stack.name} {stack.status} {stack.status_reason}" for stack in stacks)
                raise TimeoutError(f"not deleted after {EMPTY_S} s: {names}")
            time.sleep(1)


def made(admin: Connection) -> Project:
    """Make a project and its user."""
    name = f"test-{secrets.token_hex(4)}"
    project = admin.identity.create_project(name=name, domain_id="default")
    word = secrets.token_hex(12)
    user = admin.identity.create_user(name=name, password=word, domain_id="default")
    role = admin.identity.find_role("member", ignore_missing=False)
    admin.identity.assign_project_role_to_user(project, user, role)
    environ = seed.environment(user=name, project=name, password=word)
    connection = connect(environ)
    return Project(
        name=name,
        id=project.id,
        user_id=user.id,
        environ=environ,
        admin=admin,
        connection=connection,
        cloud=Sdk(connection),
    )


def removed(project: Project) -> None:
    """Empty a project and take it away with its user."""
    try:
        project.empty()
    finally:
        project.connection.close()
        project.admin.identity.delete_user(project.user_id)
        project.admin.identity.delete_project(project.id)
