"""`python3 -m tests.openstack.lab`: raise the lab, enter it, stop one of its services, take it down."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from typing import NoReturn

from tests.openstack.lab import place, processes, raising, seed
from tests.openstack.lab.services import services


def main(arguments: list[str]) -> int:
    """Do one thing; 1 with one sentence where it can't be done."""
    signal.signal(signal.SIGTERM, _interrupted)
    os.umask(0o022)  # MariaDB and RabbitMQ read their settings as users of their own
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return int(options.act(options) or 0)
    except place.CannotRun as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted; `up` begins anew where it must", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m tests.openstack.lab", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add = commands.add_parser
    add("up", help="raise it, or what of it does not run").set_defaults(act=lambda _: raising.up())
    add("down", help="end it and remove its data").set_defaults(act=lambda _: raising.down())
    add("status", help="which services run, and their memory").set_defaults(act=_status)
    for name, act, what in (
        ("start", _start, "start services again and wait for them"),
        ("stop", _stop, "stop services"),
        ("kill", _kill, "kill services at once, as a crash would"),
    ):
        command = add(name, help=what)
        command.add_argument("services", nargs="+", metavar="SERVICE")
        command.set_defaults(act=act)
    for name, act, what in (
        ("exec", _exec, "run a command inside a lab that is up"),
        ("run", _run, "the same; raises the lab before and takes it down after, where it was not up"),
    ):
        command = add(name, help=what)
        command.add_argument("--admin", action="store_true", help="with OS_* of the lab's admin")
        command.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND…")
        command.set_defaults(act=act)
    return parser


def _status(_: argparse.Namespace) -> int:
    for name in services():
        pids = processes.members(name)
        state = "runs" if processes.is_alive(name) else "stopped"
        print(f"  {name:16} {state:8} {processes.memory_mib(pids):6,.0f} MiB")
    return 0 if raising.is_up() else 1


def _start(options: argparse.Namespace) -> None:
    for name in _known(options.services):
        raising.start(name)


def _stop(options: argparse.Namespace) -> None:
    for name in _known(options.services):
        raising.stop(name)


def _kill(options: argparse.Namespace) -> None:
    for name in _known(options.services):
        raising.stop(name, at_once=True)


def _known(names: list[str]) -> list[str]:
    if not raising.is_complete():
        raise place.CannotRun("the OpenStack lab is not up; type: make openstack-lab")
    for name in names:
        if name not in services():
            raise place.CannotRun(f"no service is called {name}; there are {', '.join(services())}")
    return names


def _exec(options: argparse.Namespace) -> int:
    reason = place.obstacle()
    if reason:
        raise place.CannotRun(reason)
    place.enter()
    return _command(options)


def _run(options: argparse.Namespace) -> int:
    """Leave the lab as it was found; where there can be none, the command learns why and runs outside."""
    reason = place.obstacle()
    if reason:
        os.environ["HOTRUN_LAB_OBSTACLE"] = reason
        return _command(options)
    was_up = raising.is_up()
    had_data = raising.is_complete()
    try:
        raising.up()
        return _command(options)
    finally:
        if not was_up and not had_data:
            raising.down()


def _command(options: argparse.Namespace) -> int:
    words = options.words[1:] if options.words[:1] == ["--"] else options.words
    if not words:
        raise place.CannotRun("there is no command to run")
    environment = {**os.environ, **(seed.environment() if options.admin else {})}
    try:
        return subprocess.run(words, env=environment, check=False).returncode
    except FileNotFoundError:
        raise place.CannotRun(f"there is no program {words[0]}") from None


def _interrupted(_: int, __: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
