"""What boots a machine: paths where a cloud's image has them, a host key, sshd, then the server's own user data.

    python -I boot.py ROOT LOGIN       below process 1 of a machine, in its namespaces (cloud/rehearse/lab/inner.py)

Exit code: the user data's; the machine ends with it. Standard library only.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

METADATA = "http://169.254.169.254/openstack/latest"
SEEN = ("etc/hotrun", "var/lib/hotrun", "var/log/hotrun")  # what is read over ssh, at its absolute path
_OWN = Path("/run/machine")
_WAIT_S = 300.0


def main() -> int:
    """Prepare, start sshd, run the user data to its end."""
    root, login = Path(sys.argv[1]), sys.argv[2]
    _paths(root)
    _host_key(root)
    document = json.loads(_ask("meta_data.json"))
    _sshd(root, login, document.get("public_keys") or {})
    user_data = root / "user_data"
    user_data.touch(mode=0o600)
    user_data.write_bytes(_ask("user_data"))
    return subprocess.run(["bash", str(user_data)], check=False).returncode


def _paths(root: Path) -> None:
    """Give the machine an /etc, /var/lib and /var/log of its own, and show there what the node program writes."""
    kept = {name: Path(name).read_text() for name in ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")}
    for name in ("/etc", "/var/lib", "/var/log"):
        upper, work = (_OWN / f"{name.replace('/', '-')}-{part}" for part in ("upper", "work"))
        upper.mkdir(parents=True)
        work.mkdir()
        _mount("-t", "overlay", "-o", f"lowerdir={name},upperdir={upper},workdir={work}", "overlay", name)
    for name, text in kept.items():
        target = Path(name)
        target.unlink(missing_ok=True)
        target.write_text(text)
    for name in SEEN:
        (root / name).mkdir(parents=True, exist_ok=True)
        target = Path("/", name)
        target.mkdir(parents=True, exist_ok=True)
        _mount("--bind", str(root / name), str(target))


def _host_key(root: Path) -> None:
    """Make the host key at the first boot; nothing of this computer's own keys is seen."""
    key = root / "etc/ssh/ssh_host_ed25519_key"
    if not key.exists():
        key.parent.mkdir(parents=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], check=True)
    place = Path("/etc/ssh")
    place.mkdir(exist_ok=True)
    for old in place.glob("ssh_host_*"):
        old.unlink()
    for each in (key, key.with_name(key.name + ".pub")):
        shutil.copy(each, place / each.name)
    (place / key.name).chmod(0o600)


def _sshd(root: Path, login: str, keys: dict[str, str]) -> None:
    """Start sshd; the login is another name of root, whose home is the machine's own."""
    home = _OWN / "home" / login
    (home / ".ssh").mkdir(parents=True)
    with Path("/etc/passwd").open("a") as passwd, Path("/etc/shadow").open("a") as shadow:
        passwd.write(f"{login}:x:0:0::{home}:/bin/bash\n")
        shadow.write(f"{login}:*:19000:0:99999:7:::\n")
    (home / ".ssh/authorized_keys").write_text("".join(f"{key.strip()}\n" for key in keys.values()))
    Path("/run/sshd").mkdir(mode=0o755)
    settings = [
        "HostKey /etc/ssh/ssh_host_ed25519_key", f"AuthorizedKeysFile {home}/.ssh/authorized_keys",
        "PasswordAuthentication no", "KbdInteractiveAuthentication no", "PermitRootLogin prohibit-password",
        "UsePAM no", "UseDNS no", "StrictModes no", "PidFile none", f"AllowUsers {login}",
        "Subsystem sftp internal-sftp", "AcceptEnv LANG LC_*", "MaxStartups 100",
    ]  # fmt: skip
    config = Path("/etc/ssh/sshd_config")
    config.write_text("\n".join(settings) + "\n")
    log = root / "sshd.log"
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    subprocess.Popen(["/usr/sbin/sshd", "-D", "-E", str(log), "-f", str(config)], env=environment, cwd="/")


def _ask(name: str) -> bytes:
    """What the metadata service says, waited for as cloud-init does."""
    deadline = time.monotonic() + _WAIT_S
    while True:
        try:
            with urllib.request.urlopen(f"{METADATA}/{name}", timeout=60) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            if error.code == 404 and name == "user_data":
                return b""
            print(f"metadata: {error}", flush=True)
        except OSError as error:
            print(f"metadata: {error}", flush=True)
        if time.monotonic() > deadline:
            sys.exit("no metadata")
        time.sleep(1)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
