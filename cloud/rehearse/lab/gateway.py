"""The lab's way out: redirected connections are dialled from this computer, names asked of its resolvers.

The sockets were opened inside the lab and are served in this process, so nothing of the computer's own
network is changed. What machines can't reach this way: this computer's own loopback, and whatever is not TCP.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import threading
from contextlib import suppress
from pathlib import Path

SO_ORIGINAL_DST = 80  # <linux/netfilter_ipv4.h>
DIAL_S = 30.0
NAME_S = 3.0  # per resolver; glibc itself waits 5 s and asks again
_END_S = 5.0
_CHUNK_BYTES = 1 << 18
_MAX_RESOLVERS = 3  # as glibc's
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: end with a reset, as a host that refuses does


class Gateway:
    """Serves the lab's two sockets in threads of its own until `close`."""

    def __init__(self, connections: socket.socket, names: socket.socket, address: str) -> None:
        self._connections, self._names, self._address = connections, names, address
        self._resolvers = resolvers(Path("/etc/resolv.conf"))
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self._accept, self._answer)]
        for thread in self.threads:
            thread.start()

    def close(self) -> None:
        """Take nothing more; what is open ends with its machine."""
        for each in (self._connections, self._names):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits there
            each.close()
        for thread in self.threads:
            thread.join(_END_S)

    def _accept(self) -> None:
        while True:
            try:
                inside, _ = self._connections.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._connect, args=(inside,), daemon=True).start()

    def _connect(self, inside: socket.socket) -> None:
        with inside:
            try:
                with self._dial(original_target(inside)) as outside:
                    back = threading.Thread(target=_pour, args=(outside, inside), daemon=True)
                    back.start()
                    _pour(inside, outside)
                    back.join()
            except OSError:  # refused, no route, too late: the machine sees its connection end
                with suppress(OSError):
                    inside.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    def _dial(self, target: tuple[str, int]) -> socket.socket:
        host, port = target
        if (host, port) == (self._address, 53):
            host, port = self._resolvers[0]
        elif not may_leave(host) or host == self._address:
            raise ConnectionRefusedError(f"{host} is not outside")
        return socket.create_connection((host, port), DIAL_S)

    def _answer(self) -> None:
        while True:
            try:
                question, asker = self._names.recvfrom(1 << 16)
            except OSError:  # closed
                return
            threading.Thread(target=self._ask, args=(question, asker), daemon=True).start()

    def _ask(self, question: bytes, asker: tuple[str, int]) -> None:
        for resolver in self._resolvers:
            family = socket.AF_INET6 if ":" in resolver[0] else socket.AF_INET
            with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as upstream:
                upstream.settimeout(NAME_S)
                upstream.connect(resolver)
                upstream.send(question)
                answer = upstream.recv(1 << 16)
                self._names.sendto(answer, asker)
                return


def original_target(redirected: socket.socket) -> tuple[str, int]:
    """Where a redirected connection wanted to go."""
    packed = redirected.getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16)
    port, address = struct.unpack_from("!2xH4s", packed)
    return socket.inet_ntoa(address), port


def may_leave(host: str) -> bool:
    """Whether an address lies outside of this computer's own loopback and links."""
    address = ipaddress.IPv4Address(host)
    return not (
        address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
    )


def resolvers(path: Path) -> list[tuple[str, int]]:
    """Address and port of the name servers of a resolv.conf; this computer's own when it names none."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    words = [line.split() for line in lines]
    found = [word[1] for word in words if len(word) > 1 and word[0] == "nameserver"]
    return [(host, 53) for host in found[:_MAX_RESOLVERS] or ["127.0.0.1"]]


def _pour(source: socket.socket, target: socket.socket) -> None:
    """Copy until the source ends, then end the target's direction."""
    source.settimeout(None)
    with suppress(OSError):
        while chunk := source.recv(_CHUNK_BYTES):
            target.sendall(chunk)
    for each, how in ((target, socket.SHUT_WR), (source, socket.SHUT_RD)):
        with suppress(OSError):
            each.shutdown(how)
