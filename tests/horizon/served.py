"""Debian's Horizon with its Heat plugin, served inside the lab's network; nothing of it is written to the machine's /etc."""

from __future__ import annotations

import shutil
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.openstack.lab import packages, place, processes
from tests.openstack.lab.connections import url

NEEDED = ("openstack-dashboard", "python3-heat-dashboard", "chromium", "chromium-driver", "fonts-dejavu-core")
NAME = "horizon"  # of its log and its record among the lab's processes
PORT = 8780
ADDRESS = f"http://127.0.0.1:{PORT}"
START_S = 120.0  # 3 s on an idle machine
_ETC = Path("/etc/openstack-dashboard")
_SECRET = Path("/var/lib/openstack-dashboard/secret-key")
_STATIC = Path("/var/lib/openstack-dashboard/static")
_PROGRAM = Path("/usr/share/openstack-dashboard")
_HEAT_POLICIES = Path("/usr/lib/python3/dist-packages/heat_dashboard/conf")
_USER = "www-data"
_SETTINGS = f"""\
OPENSTACK_HOST = "{place.ADDRESS}"
OPENSTACK_KEYSTONE_URL = "{url("keystone", place.ADDRESS)}/v3"
ALLOWED_HOSTS = ["127.0.0.1"]
SESSION_ENGINE = "django.contrib.sessions.backends.cache"  # Debian's cache lives in one process
SESSION_TIMEOUT = 7200
OPENSTACK_HEAT_STACK = {{"enable_user_pass": False}}  # as Chameleon has it: no password is asked for at a launch
"""


def install() -> None:
    """Install Debian's packages where they are missing, from outside of the lab's network; raises CannotRun."""
    with place.alone():
        packages.install(place.make_home() / "horizon-packages.log", NEEDED)


def start() -> None:
    """Serve Horizon at ADDRESS; one that an earlier run left is ended first. Raises CannotRun."""
    stop()
    _write_settings()
    processes.start(processes.Command(NAME, ("unshare", "--mount", "sh", "-ec", _script())))
    until = time.monotonic() + START_S
    while not _answers():
        if not processes.is_alive(NAME) or time.monotonic() > until:
            stop()
            raise place.CannotRun(f"Horizon does not answer at {ADDRESS}; {_end_of_log()}")
        time.sleep(0.2)


def stop() -> None:
    """End Horizon and remove its settings; without one there is nothing to do."""
    processes.stop(NAME)
    shutil.rmtree(_own(), ignore_errors=True)


def _write_settings() -> None:
    """A copy of Debian's settings with ours; it lies over Debian's in a mount namespace of Horizon's own."""
    shutil.copytree(_ETC, _own() / "etc", symlinks=True)
    (_own() / "etc" / "local_settings.d" / "_9999_hotrun.py").write_text(_SETTINGS, encoding="ascii")
    policies = _own() / "etc" / "policy"  # Debian leaves the plugin's policies where Horizon does not look
    shutil.copy(_HEAT_POLICIES / "heat_policy.yaml", policies)
    shutil.copy(_HEAT_POLICIES / "default_policies" / "heat.yaml", policies / "default_policies")
    secret = _own() / "secret"
    secret.mkdir(mode=0o700)
    shutil.chown(secret, _USER, _USER)


def _script() -> str:
    return f"""
mount --bind {_own()}/etc {_ETC}
mount --bind {_own()}/secret {_SECRET}
exec uwsgi_python3 --master --processes 1 --threads 6 --enable-threads --need-app --die-on-term \
    --http-socket 127.0.0.1:{PORT} --buffer-size 65535 --uid {_USER} --gid {_USER} \
    --chdir {_PROGRAM} --wsgi-file {_PROGRAM}/wsgi.py --static-map /static={_STATIC}
"""


def _answers() -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{ADDRESS}/auth/login/", timeout=20) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _own() -> Path:
    return place.home() / "horizon"


def _end_of_log() -> str:
    path = place.home() / "log" / f"{NAME}.log"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-8:]
    return f"{path} ends with\n  " + "\n  ".join(line[:300] for line in lines)
