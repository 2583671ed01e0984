"""Which processes belong to a running server, and on what they listen: read from proc(5)."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final

from tests.conditions import process_ended

_LISTEN: Final = "0A"
_ESTABLISHED: Final = "01"


@dataclass(frozen=True)
class Process:
    """`started` (clock ticks since boot) tells it from a later process with the same pid."""

    pid: int
    started: int

    @property
    def ended(self) -> bool:
        return process_ended(self.pid) or _started(self.pid) != self.started

    def describe(self) -> str:
        try:
            command = Path(f"/proc/{self.pid}/cmdline").read_bytes()
        except OSError:
            return str(self.pid)
        return f"{self.pid} {command.replace(bytes(1), b' ').decode(errors='replace')[:100]}"


@dataclass(frozen=True)
class Listener:
    pid: int
    address: IPv4Address | IPv6Address
    port: int

    @property
    def loopback(self) -> bool:
        mapped = getattr(self.address, "ipv4_mapped", None)
        return (mapped or self.address).is_loopback


def tree_of(root: int, marker: bytes) -> set[Process]:
    """Living processes that descend from `root`, share its session, or were started with `marker`
    in their environment (those whose parents were killed)."""
    parents: dict[int, tuple[int, int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) is not None:
            parents[int(entry.name)] = (int(fields[1]), int(fields[3]))
    found = {
        pid
        for pid, (_, session) in parents.items()
        if pid == root or session == root or _has_marker(pid, marker)
    }
    grown = True
    while grown:
        children = {pid for pid, (parent, _) in parents.items() if parent in found}
        grown = not children <= found
        found |= children
    return {
        Process(pid, started)
        for pid in found
        if pid != os.getpid() and not process_ended(pid) and (started := _started(pid))
    }


def kill_all(processes: Iterable[Process]) -> None:
    """SIGKILL to all at once: stopped first, so that none restarts another."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for process in processes:
            if not process.ended:
                os.kill(process.pid, number)


def wait_all_ended(processes: Iterable[Process], seconds: float = 20.0) -> None:
    """Blocking. Raises AssertionError naming what is left."""
    deadline = time.monotonic() + seconds
    left = list(processes)
    while left := [process for process in left if not process.ended]:
        assert time.monotonic() < deadline, [process.describe() for process in left]
        time.sleep(0.02)


def listeners_of(pids: Collection[int]) -> list[Listener]:
    """TCP sockets in the state LISTEN that these processes hold."""
    owners: dict[str, int] = {}
    for pid in pids:
        try:
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                target = os.readlink(descriptor)
                if target.startswith("socket:["):
                    owners[target[8:-1]] = pid
        except OSError:  # ended, or the descriptor was closed meanwhile
            continue
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTEN and fields[9] in owners:
                host, _, port = fields[1].partition(":")
                found.append(Listener(owners[fields[9]], _address(host), int(port, 16)))
    return found


def has_unread(port: int) -> bool:
    """Whether bytes have come to a connection of this local port (IPv4) that nobody has read."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        local, unread = (int(fields[n].partition(":")[2], 16) for n in (1, 4))
        if fields[3] == _ESTABLISHED and local == port and unread:
            return True
    return False


def _address(text: str) -> IPv4Address | IPv6Address:
    """Groups of four bytes, each in the machine's (little-endian) order."""
    raw = bytes.fromhex(text)
    return ip_address(b"".join(raw[i : i + 4][::-1] for i in range(0, len(raw), 4)))


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the third on: state, parent, group, session …"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None


def _started(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[19]) if fields is not None else 0


def _has_marker(pid: int, marker: bytes) -> bool:
    try:
        return marker in Path(f"/proc/{pid}/environ").read_bytes().split(bytes(1))
    except OSError:
        return False
