"""The environment of a rehearsed machine: made from a list, nothing else is inherited."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import unquote

from cloud.errors import Problem, ProblemsFound
from cloud.node.index import pip_settings

STANDARD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INHERITED = (
    "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_TRUSTED_HOST",
    "UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_STRATEGY", "UV_TORCH_BACKEND",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
    "http_proxy", "https_proxy", "all_proxy", "no_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "PIP_CERT", "GIT_SSL_CAINFO",
    "CUDA_VISIBLE_DEVICES",
)  # fmt: skip
_PIP_OPTIONS = ("index-url", "extra-index-url", "find-links", "trusted-host", "cert")
_LOOPBACK = re.compile(
    r"://(?:[^/@\s]*@)?(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])(?=[:/\s]|$)", re.IGNORECASE
)
_CAN_MAKE_ENVIRONMENTS = "import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 9))"

Say = Callable[[str], None]


def inherited(environ: Mapping[str, str], addresses: list[str]) -> dict[str, str]:
    """What every machine takes over: index settings, proxies, certificates.

    The person's own pip.conf becomes PIP_* variables, because a machine has a home of its own.
    With a proxy, the machines' own addresses are kept away from it.
    """
    taken = {name: environ[name] for name in INHERITED if environ.get(name)}
    for option, value in pip_settings(environ, _pip_conf_texts(environ)).items():
        name = "PIP_" + option.upper().replace("-", "_")
        if option in _PIP_OPTIONS and name in (*INHERITED, "PIP_CERT"):
            taken.setdefault(name, value)
    if any(name.lower() in ("http_proxy", "https_proxy", "all_proxy") for name in taken):
        local = ",".join(["127.0.0.1", "localhost", *addresses])
        for name in ("NO_PROXY", "no_proxy"):
            taken[name] = ",".join(part for part in (taken.get(name, ""), local) if part)
    return taken


def named_paths(environ: Mapping[str, str]) -> list[Path]:
    """Files and directories that values name, alone or in lists; as paths or as file:// addresses."""
    words = [word for value in environ.values() for word in re.split(r"[\s:,;]+(?!//)", value)]
    paths = [
        Path(unquote(word.removeprefix("file://"))) for word in words if word.startswith(("/", "file:///"))
    ]
    return [path for path in paths if path.exists()]


def loopback_settings(environ: Mapping[str, str]) -> list[str]:
    """Names of the variables whose addresses lead to this computer's own loopback."""
    return [name for name, value in environ.items() if _LOOPBACK.search(value)]


def of_node(
    *, root: Path, metadata_url: str, tag: str, cpus: int, gitconfig: Path, uv_cache: Path
) -> dict[str, str]:
    """What only this machine has, see docs/decisions/0001-the-spine.md."""
    home = root / "home"
    return {
        "HOTRUN_ROOT": str(root), "HOTRUN_METADATA_URL": metadata_url, "HOTRUN_CPUS": str(cpus),
        "HOTRUN_REHEARSAL": tag, "HOTRUN_GITCONFIG": str(gitconfig),
        "HOME": str(home), "TMPDIR": str(root / "tmp"),
        "XDG_CACHE_HOME": str(home / ".cache"), "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local/share"), "XDG_STATE_HOME": str(home / ".local/state"),
        "XDG_RUNTIME_DIR": str(root / "tmp"),
        "LANG": "C.UTF-8", "UV_CACHE_DIR": str(uv_cache),
    }  # fmt: skip


def search_path(environ: Mapping[str, str], say: Say) -> str:
    """The system's PATH; in front of it this Python's directory where the system has none that will do.

    Raises ProblemsFound without bash or git.
    """
    path = STANDARD_PATH
    if not _makes_environments(shutil.which("python3", path=path)):
        directory = Path(sys.base_prefix, "bin")
        own = directory if (directory / "python3").exists() else Path(sys.executable).parent
        say(f"the system has no python3 with venv, 3.9 or newer; machines use {own}")
        path = f"{own}:{path}"
    for program in ("bash", "git"):
        if shutil.which(program, path=path):
            continue
        found = shutil.which(program, path=environ.get("PATH", os.defpath))
        if not found:
            what = f"{program} is not installed here, and every machine needs it"
            raise ProblemsFound(Problem(code="program-missing", what=what, fix=f"install {program}"))
        path = f"{path}:{Path(found).parent}"
    return path


def _makes_environments(python: str | None) -> bool:
    if python is None:
        return False
    tried = subprocess.run([python, "-I", "-c", _CAN_MAKE_ENVIRONMENTS], capture_output=True, check=False)
    return tried.returncode == 0


def _pip_conf_texts(environ: Mapping[str, str]) -> list[str]:
    """Pip's configuration files of this person, the strongest last."""
    home = Path(environ.get("HOME") or "/nonexistent")
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    candidates = [Path("/etc/pip.conf"), home / ".pip/pip.conf", config / "pip/pip.conf"]
    if environ.get("PIP_CONFIG_FILE"):
        candidates.append(Path(environ["PIP_CONFIG_FILE"]))
    texts = []
    for candidate in candidates:
        try:
            texts.append(candidate.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError):
            continue
    return texts
