"""Up and down: steps and services in the order of what each needs, several at a time."""

from __future__ import annotations

import shutil
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

from tests.openstack.lab import configuration, packages, place, processes, schemas, seed
from tests.openstack.lab.services import DEADLINE_S, Service, services

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STEPS: dict[str, tuple[Callable[[], None], tuple[str, ...]]] = {  # done once -> what each needs
    "mariadb-files": (schemas.mariadb_files, ()),
    "databases": (schemas.databases, ("mariadb",)),
    "keystone-tables": (schemas.keystone, ("databases",)),
    "nova-api-tables": (schemas.nova_api, ("databases",)),
    "nova-tables": (schemas.nova, ("databases",)),
    "cell0-tables": (schemas.nova_cell0, ("databases",)),
    "neutron-tables": (schemas.neutron, ("databases",)),
    "heat-tables": (schemas.heat, ("databases",)),
    "placement-tables": (schemas.placement, ("databases",)),
    "glance-tables": (schemas.glance, ("databases",)),
    "identity": (seed.identity, ("keystone",)),
    "hosts": (schemas.discover_hosts, ("nova-compute",)),
    "cloud": (seed.cloud, ("glance", "neutron-server", "nova-api")),
}
AT_ONCE = 5  # threads: the tables that most others wait for come first, even where cores are few
_given_up = threading.Event()


def up() -> None:
    """Raise what does not run; a lab that never came up whole is made anew. Raises CannotRun."""
    reason = place.obstacle()
    if reason:
        raise place.CannotRun(reason)
    began = time.monotonic()
    with place.alone():
        home = place.home()
        if other := processes.other_lab():
            raise place.CannotRun(
                f"{place.NAMESPACE} holds the lab of {other}; set HOTRUN_LAB_NAMESPACE to another name"
            )
        if not is_complete():
            _clear(in_a_free_namespace=True)
        elif any(not (home / "done" / name).exists() for name in STEPS):
            raise place.CannotRun(
                f"the lab in {home} is of another version of its files; type: make openstack-lab-down"
            )
        (home / "log").mkdir(exist_ok=True)
        packages.install(home / "log" / "packages.log")
        schemas.directories()
        place.make_network()
        place.enter()
        configuration.write(home)
        raised = _raise()
        (home / "complete").touch()
        mib = processes.memory_mib(processes.own())
    if raised:
        print(
            f"the OpenStack lab is up: {time.monotonic() - began:.1f} s, {mib:,.0f} MiB of memory, in {home}"
        )
    else:
        print(f"the OpenStack lab was up already: {mib:,.0f} MiB of memory, in {home}")


def down() -> None:
    """End the lab's own processes, remove its data and its namespace; without a lab there is nothing to do."""
    reason = place.obstacle()
    if reason:
        raise place.CannotRun(reason)
    if not place.home().exists() and not place.DOOR.exists():
        print("there is no OpenStack lab to take down")
        return
    with place.alone():
        _clear()
        place.home().rmdir()
    print(f"the OpenStack lab is down; {place.home()} and the namespace {place.NAMESPACE} are gone")


def is_complete() -> bool:
    """Whether the lab in this directory was up once, whole."""
    return (place.home() / "complete").exists()


def is_up() -> bool:
    """Whether every service runs."""
    return is_complete() and place.DOOR.exists() and all(map(processes.is_alive, services()))


def start(name: str) -> None:
    """Start one service again and wait for it."""
    _given_up.clear()
    with place.alone():
        place.enter()
        _begin(services()[name])


def stop(name: str, *, at_once: bool = False) -> None:
    """Stop one service; `at_once` kills it."""
    with place.alone():
        processes.stop(name, at_once=at_once)


def _clear(*, in_a_free_namespace: bool = False) -> None:
    """End the lab's processes and remove its files; raises CannotRun where a new lab would meet foreign processes."""
    processes.end_all()
    left = processes.strangers()
    if left and in_a_free_namespace:
        pid, command = next(iter(left.items()))
        raise place.CannotRun(
            f"{len(left)} processes in the namespace {place.NAMESPACE} are not of the lab in {place.home()}, like {pid}, "
            f"{command.strip()}; end them, or set HOTRUN_LAB_NAMESPACE to another name"
        )
    for pid, command in left.items():
        print(f"left alone in the namespace, for it is not the lab's: process {pid}, {command}")
    if not processes.other_lab():
        place.remove_network()
    for path in place.home().iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _raise() -> bool:
    """Do what is to be done, each as soon as what it needs is there; whether there was anything."""
    table = services()
    todo = {name: needs for name, (_, needs) in STEPS.items()}
    todo |= {name: service.needs for name, service in table.items()}
    order = TopologicalSorter(todo)
    order.prepare()
    running: dict[Future[float], str] = {}
    count = 0
    with _pool() as pool:
        while order.is_active():
            for name in order.get_ready():
                running[pool.submit(_do, name, table)] = name
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                name = running.pop(future)
                seconds = future.result()
                count += seconds > 0
                order.done(name)
                if seconds > 0:
                    print(f"  {name:16} {seconds:5.1f} s", flush=True)
    return count > 0


@contextmanager
def _pool() -> Iterator[ThreadPoolExecutor]:
    """Threads that end soon once one of them has failed."""
    _given_up.clear()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            yield pool
        except BaseException:
            _given_up.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _do(name: str, table: dict[str, Service]) -> float:
    """Do one step or start one service; the seconds it took, 0 when it was there already."""
    began = time.monotonic()
    if name in table:
        if processes.is_alive(name):
            return 0.0
        _begin(table[name])
    else:
        mark = place.home() / "done" / name
        if mark.exists():
            return 0.0
        STEPS[name][0]()
        mark.touch()
    return max(time.monotonic() - began, 0.001)


def _begin(service: Service) -> None:
    name, began = service.command.name, time.monotonic()
    processes.start(service.command)
    while not service.is_there(time.monotonic() - began):
        seconds = time.monotonic() - began
        if not processes.is_alive(name) or seconds > DEADLINE_S:
            what = f"was not there after {seconds:.0f} s" if seconds > DEADLINE_S else "ended"
            raise place.CannotRun(f"{name} {what}; {_end_of_log(name)}")
        if _given_up.wait(0.2):
            return


def _end_of_log(name: str) -> str:
    path = place.home() / "log" / f"{name}.log"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-8:]
    return f"{path} ends with\n  " + "\n  ".join(line[:300] for line in lines)
