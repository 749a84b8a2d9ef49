"""`python3 cloud/bootstrap.py ENVIRONMENT`: what tests, demos and clouds need, made by uv.

uv itself comes by pip, pinned; then uv installs the pins of requirements/. The Python of the environment is
the only line on stdout, so that a Makefile can say `PYTHON=$(python3 cloud/bootstrap.py test)`.
"""

from __future__ import annotations

import argparse
import glob
import os
import shutil
import sys

from cloud import bootstrap
from cloud.setup import openstack, tensorboard
from cloud.setup.command import ROOT, CannotMake, say
from cloud.setup.environments import make
from cloud.setup.uv import Uv

TORCH = ("torch", "torchvision")
PINNED = {  # requirements/NAME.txt -> what it is resolved from
    "uv": ["requirements/uv.in"],
    "base": ["pyproject.toml"],
    "test": ["pyproject.toml", "--extra", "test"],
    "cloud": ["pyproject.toml", "--extra", "cloud"],
    "payload": ["payload/requirements.txt"],
    "heat": ["requirements/heat.in"],
    "bench": ["requirements/bench.in"],
    "ray": ["requirements/ray.in"],
    "dashboard": ["requirements/dashboard.in"],
    "lab": ["requirements/lab.in"],
    "tensorboard": ["requirements/tensorboard.in"],
    "tensorflow": ["payload/requirements-tensorflow.txt"],
}
BESIDE = {
    "cloud": ("base", "test"),
    "bench": ("payload",),
    "ray": ("payload", "bench"),
    "dashboard": ("payload", "bench", "ray"),
    "lab": ("base", "test", "cloud"),
    "tensorboard": ("payload",),
    "tensorflow": ("base", "test"),
}  # pins that are installed together have one version
LAB = ("cloud", "test", "lab")
ENVIRONMENTS = (
    "cli", "cloud", "test", "openstack", "heat", "bench", "ray", "tensorflow", "tensorboard", "pins",
)  # fmt: skip
SIZES = {  # what -> (megabytes to load, megabytes on disk), measured on x86_64
    "heat": (60, 210),
    "openstack": (80, 280),
    "plain": (3000, 6000),  # the CUDA build of torch and its libraries
    "cpu": (500, 2000),
    "ray": (130, 450),  # with pyarrow and pandas
    "tensorflow": (450, 2000),
}


def main(arguments: list[str]) -> int:
    """Make one environment and print its Python; 1 with one sentence where that can't be done."""
    options = _parse(arguments)
    try:
        if options.environment == "pins":
            _renew_pins()
        elif options.environment == "cli":
            print(bootstrap.environment())
        elif options.environment == "cloud":
            print(openstack.environment())
        elif options.environment == "tensorboard":
            print(tensorboard.environment())
        elif options.environment == "openstack":
            print(make(".build/openstack", _files("uv", *LAB), _lab, _size(SIZES["openstack"])))
        elif options.environment == "heat":
            print(make(".build/heat", _files("uv", "heat"), _heat, _size(SIZES["heat"])))
        elif options.environment == "tensorflow":
            files = _files("uv", "test", "tensorflow")
            print(make(".build/tensorflow", files, _tensorflow, _size(SIZES["tensorflow"])))
        elif options.environment == "ray":
            pins = ("test", "payload", "ray", "dashboard")
            print(_with_torch(".build/ray", pins, (), options.torch_index))
        elif options.environment == "bench":
            print(_with_torch(".build/bench", ("payload", "bench"), ("ray",), options.torch_index))
        else:
            print(_with_torch(".build/test", ("test", "payload"), (), options.torch_index))
    except CannotMake as error:
        again = f" {options.environment}" if str(error).endswith("bootstrap.py") else ""
        print(f"hotrun: {error}{again}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("interrupted; nothing is left behind")
        return 130
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 cloud/bootstrap.py",
        description="Make an environment of this checkout and print its Python.",
        epilog="example: python3 cloud/bootstrap.py test --torch-index cpu",
    )
    parser.add_argument("environment", nargs="?", choices=ENVIRONMENTS, default="cli")
    parser.add_argument(
        "--torch-index",
        default=os.environ.get("TORCH_INDEX") or "auto",
        metavar="auto|cpu|URL",
        help="where torch comes from; auto: CPU wheels where they can be reached and no NVIDIA GPU is here",
    )
    return parser.parse_args(arguments)


def _with_torch(name: str, pins: tuple[str, ...], optional: tuple[str, ...], torch_index: str) -> str:
    """An environment of `pins`, the payload's among them, with the `optional` ones if they can be had."""
    stamped = _files("uv", *pins, *optional)
    variant = "" if torch_index == "auto" else torch_index
    return make(
        name, stamped, lambda at: _build(at, pins, optional, torch_index), "size follows", variant=variant
    )


def _build(aside: str, pins: tuple[str, ...], optional: tuple[str, ...], torch_index: str) -> None:
    uv = Uv()
    backend = _torch_backend(uv, torch_index)
    size = SIZES["plain" if backend == "plain" else "cpu"]
    say(f"torch from {'the usual index' if backend == 'plain' else backend}: {_size(size)}")
    uv.venv(aside)
    uv.check_disk(aside, _files(*pins), size)
    if backend == "plain":
        files, where = _files(*pins), []
    else:  # other builds of torch have other hashes; its version stays the pinned one
        where = ["--torch-backend", "cpu"] if backend == "cpu" else ["--index", backend]
        files = [*_files(*(name for name in pins if name != "payload")), _without_torch_hashes(aside)]
    uv.sync(aside, files, where)
    for name in optional:
        try:
            say(f"{name}: {_size(SIZES[name])}")
            uv.sync(aside, [*files, *_files(name)], where)
        except CannotMake as error:
            say(f"goes without {name}: {str(error).splitlines()[0]}")


def _lab(aside: str) -> None:
    uv = Uv()
    uv.venv(aside)
    uv.sync(aside, _files(*LAB), [])


def _tensorflow(aside: str) -> None:
    uv = Uv()
    uv.venv(aside)
    uv.check_disk(aside, _files("test", "tensorflow"), SIZES["tensorflow"])
    uv.sync(aside, _files("test", "tensorflow"), [])


def _heat(aside: str) -> None:
    uv = Uv()
    uv.venv(aside)
    uv.check_disk(aside, _files("heat"), SIZES["heat"])
    uv.sync(aside, _files("heat"), [])
    # heat's own test case looks for its data files beside its packages; the wheel puts them into etc/
    for packages in glob.glob(os.path.join(aside, "lib", "python3*", "site-packages")):
        shutil.copytree(os.path.join(aside, "etc", "heat"), os.path.join(packages, "etc", "heat"))


def _renew_pins() -> None:
    """Resolve requirements/ anew; each file keeps to the versions of those before it."""
    uv = Uv()
    compile_ = [
        "pip",
        "compile",
        "--quiet",
        "--upgrade",
        "--universal",
        "--generate-hashes",
        "--no-annotate",
        "--no-header",
    ]
    done: list[str] = []
    for name, sources in PINNED.items():
        inputs = [os.path.join(ROOT, source) if os.path.splitext(source)[1] else source for source in sources]
        kept = [*done, *_files(*BESIDE.get(name, ()))]
        keep = [part for path in kept for part in ("--constraint", path)]
        target = _files(name)[0]
        version = ["--python-version", "3.9" if name == "uv" else "3.11"]
        uv.run([*compile_, *version, *inputs, *keep, "--output-file", target], f"requirements/{name}.txt")
        say(f"requirements/{name}.txt")
        done += [target] if name in ("base", "test") else []


def _torch_backend(uv: Uv, wanted: str) -> str:
    """`cpu`, `plain` (what the index has), or the address of an index."""
    if wanted != "auto":
        return wanted
    has_gpu = bool(shutil.which("nvidia-smi")) or os.path.exists("/proc/driver/nvidia")
    return "cpu" if not has_gpu and uv.offers_cpu_wheels(_torch_pin()) else "plain"


def _without_torch_hashes(aside: str) -> str:
    """Write the payload's pins with the hashes of torch and torchvision left out; return where."""
    kept, skipping = [], False
    with open(_files("payload")[0]) as handle:
        for line in handle:
            if not line.startswith(" "):
                skipping = line.partition("==")[0] in TORCH
                kept.append(line.replace("\\", "") if skipping else line)
            elif not skipping:
                kept.append(line)
    path = os.path.join(aside, "payload-pins.txt")
    with open(path, "w") as handle:
        handle.writelines(kept)
    return path


def _torch_pin() -> str:
    with open(_files("payload")[0]) as handle:
        return next(line for line in handle if line.startswith("torch==")).partition(" ")[0]


def _files(*names: str) -> list[str]:
    return [os.path.join(ROOT, "requirements", f"{name}.txt") for name in names]


def _size(size: tuple[int, int]) -> str:
    load, disk = size
    return f"at most {load:,} MB to load, {disk:,} MB on disk"
