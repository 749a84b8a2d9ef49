"""A computer with a kernel of its own, for what this machine's kernel lacks: qemu, without a disk.

Its first file system is made of this machine's programs and libraries, in memory; it runs one Python program
as root and is gone. Emulated (no /dev/kvm needed), so it is some ten times slower than this machine.
"""

from __future__ import annotations

import functools
import gzip
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PACKAGES = {
    "qemu-system-x86_64": "qemu-system-x86", "mount.nfs4": "nfs-common", "exportfs": "nfs-kernel-server",
    "rpc.nfsd": "nfs-kernel-server", "rpc.mountd": "nfs-kernel-server", "ip": "iproute2", "modprobe": "kmod",
    "mount": "mount", "umount": "mount", "unshare": "util-linux", "nsenter": "util-linux",
    "useradd": "passwd", "rpcbind": "rpcbind",
}  # fmt: skip
KERNEL = "linux-image-cloud-amd64"
MODULES = ("nfsd", "nfsv4", "veth")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PYTHON = Path("/usr/bin/python3")  # the system's, as on a machine
_BOOT_S = 900.0
_INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
mount -t tmpfs tmpfs /tmp; mount -t tmpfs tmpfs /var/lib/hotrun; chmod 755 /var/lib/hotrun
ip link set lo up
{insert}
export PATH={path} HOME=/tmp LANG=C.UTF-8
/usr/bin/python3 -u /program.py 2>&1
echo "ENDED $?"
poweroff -f
"""


def ran(program: str, files: Mapping[str, str | bytes], directory: Path) -> tuple[int, list[str]]:
    """Run a program in such a computer: exit code, and the lines that it printed; -1 where it did not end."""
    release = needed()
    initial = directory / "initial.gz"
    with gzip.open(initial, "wb", compresslevel=1) as archive:
        for chunk in _archived(_tree(release) | {"program.py": (0o644, program.encode())} | _own(files)):
            archive.write(chunk)
    command = [
        "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "1024", "-nographic", "-no-reboot", "-net", "none",
        "-kernel", f"/boot/vmlinuz-{release}", "-initrd", str(initial),
        "-append", "console=ttyS0 panic=-1 quiet loglevel=3",
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=_BOOT_S, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    lines = done.stdout.replace("\r", "").splitlines()
    ended = [line.split()[1] for line in lines if line.startswith("ENDED ")]
    return int(ended[0]) if ended else -1, lines


def needed() -> str:
    """The kernel's release; skips with the packages to install where something is missing."""
    missing = {package for name, package in PACKAGES.items() if shutil.which(name, path=PATH) is None}
    releases = sorted(path.name.removeprefix("vmlinuz-") for path in Path("/boot").glob("vmlinuz-*"))
    releases = [each for each in releases if _module_files(each)]
    if not releases:
        missing.add(KERNEL)
    if not Path("/bin/busybox").exists():
        missing.add("busybox-static")
    if missing:
        pytest.skip(f"no computer with NFS can be made here: apt install {' '.join(sorted(missing))}")
    return releases[-1]


@functools.cache
def _module_files(release: str) -> tuple[str, ...]:
    """Files of the modules and of what they need, in the order to insert them; empty where one is missing."""
    found: list[str] = []
    for name in MODULES:
        program = shutil.which("modprobe", path=PATH) or "modprobe"
        command = [program, "--set-version", release, "--show-depends", "--ignore-install", name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return ()
        found += re.findall(r"^insmod (\S+)", done.stdout, re.MULTILINE)
    return tuple(dict.fromkeys(found))


def _tree(release: str) -> dict[str, tuple[int, bytes]]:
    """Path -> (mode, content) of programs, libraries, Python and kernel modules."""
    programs = [shutil.which(name, path=PATH) or "" for name in PACKAGES if not name.startswith("qemu")]
    paths = [
        Path("/bin/busybox"),
        _PYTHON,
        *Path("/lib/x86_64-linux-gnu").glob("libgcc_s.so.1"),
        *map(Path, programs),
        *_python(),
    ]
    paths += [Path(name) for path in list(paths) for name in _libraries(path)]
    paths += [
        Path("/etc", name)
        for name in ("netconfig", "protocols", "services", "login.defs", "nfs.conf", "exports")
    ]
    paths += [Path(name) for name in _module_files(release)]
    found = {str(path)[1:]: (0o755, _content(path)) for path in paths if path.is_file()}
    found |= {
        f"sbin/{name}": found[f"usr/sbin/{name}"] for name in ("mount.nfs4",) if f"usr/sbin/{name}" in found
    }
    accounts = {
        "passwd": "root:x:0:0:root:/tmp:/bin/sh\n_rpc:x:101:0::/run:/bin/sh\n",
        "group": "root:x:0:\n",
        "shadow": "root:*:1::::::\n",
    }
    found |= {f"etc/{name}": (0o644, text.encode()) for name, text in accounts.items()}
    insert = "\n".join(f"insmod {name}" for name in _module_files(release))
    found["init"] = (0o755, _INIT.format(insert=insert, path=PATH).encode())
    for name in (
        "proc",
        "sys",
        "dev",
        "tmp",
        "run",
        "var/lib/hotrun",
        "var/lib/nfs/v4recovery",
        "etc/exports.d",
    ):
        found[f"{name}/"] = (0o755, b"")
    return found


def _python() -> Iterator[Path]:
    """The system's standard library, also as it is compiled already, without its tests."""
    code = "import sysconfig; print(sysconfig.get_path('stdlib'))"
    top = subprocess.run(
        [str(_PYTHON), "-I", "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    for folder, folders, names in os.walk(top):
        folders[:] = [each for each in folders if each not in {"test", "tests", "idlelib", "lib2to3"}]
        yield from (Path(folder, name) for name in names if name.endswith((".py", ".so", ".pyc")))


def _content(path: Path) -> bytes:
    """Bytes of a file; compiled Python is of a source that was changed in 1970, as all files of the archive."""
    content = path.read_bytes()
    return content[:8] + bytes(4) + content[12:] if path.suffix == ".pyc" else content


def _libraries(path: Path) -> list[str]:
    """Shared libraries of a program, the loader too."""
    with path.open("rb") as file:
        if file.read(4) != b"\x7fELF":
            return []
    listed = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=False).stdout
    return re.findall(r"(/\S+) \(0x", listed)


def _own(files: Mapping[str, str | bytes]) -> dict[str, tuple[int, bytes]]:
    return {name: (0o755, text.encode() if isinstance(text, str) else text) for name, text in files.items()}


def _archived(files: Mapping[str, tuple[int, bytes]]) -> Iterator[bytes]:
    """A cpio archive as the kernel reads it (newc); names that end in a slash are directories."""
    folders = {f"{parent}/" for name in files for parent in map(str, Path(name).parents) if parent != "."}
    everything = dict.fromkeys(folders, (493, b"")) | dict(files)
    for number, name in enumerate(sorted(everything), 1):
        mode, content = everything[name]
        yield _entry(number, name.rstrip("/"), mode | (0o040000 if name.endswith("/") else 0o100000), content)
    yield _entry(0, "TRAILER!!!", 0, b"")


def _entry(number: int, name: str, mode: int, content: bytes) -> bytes:
    """One file: thirteen numbers of eight hexadecimal digits, the name, the content, each to a multiple of four."""
    numbers = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08x" % each for each in numbers) + name.encode() + b"\0"
    return head + b"\0" * (-len(head) % 4) + content + b"\0" * (-len(content) % 4)
