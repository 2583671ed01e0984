"""Three real Valkey servers that form a cluster, for the tests of what works on one."""

from __future__ import annotations

import shutil
import signal
import socket
import time
from pathlib import Path
from typing import Final, Self

import redis
from redis.exceptions import RedisError

from storage.embedded.process import ChildProcess
from storage.embedded.valkey import valkey_program
from tests.stores import OwnLoop, short_directory

_NODES: Final = 3
_SLOTS: Final = 16_384
_READY_SECONDS: Final = 60.0
_STOP: Final = ((signal.SIGKILL, 8.0),)


class RedisClusterForTests:
    """Keeps nothing on disk."""

    def __init__(self) -> None:
        # Each node listens twice: for clients, and for the other nodes.
        ports = _free_ports(2 * _NODES)
        self._ports, self._bus_ports = ports[:_NODES], ports[_NODES:]
        self._directory = short_directory()
        self._loop = OwnLoop()
        self._children: list[ChildProcess] = []

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in self._ports)

    def __enter__(self) -> Self:
        try:
            for port, bus_port in zip(self._ports, self._bus_ports, strict=True):
                self._children.append(_start(self._directory / str(port), port, bus_port))
            self._join()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._children:
            self._loop.run(child.end(_STOP))
        self._loop.close()
        shutil.rmtree(self._directory)

    def _join(self) -> None:
        nodes = [redis.Redis(port=port, decode_responses=True) for port in self._ports]
        part = -(-_SLOTS // len(nodes))
        try:
            for place, node in enumerate(nodes):
                _wait(lambda node=node: bool(node.ping()))
                slots = place * part, min((place + 1) * part, _SLOTS) - 1
                _tell(node, "CLUSTER ADDSLOTSRANGE", *slots)
                _tell(node, "CLUSTER MEET", "127.0.0.1", self._ports[0], self._bus_ports[0])
            for node in nodes:
                _wait(lambda node=node: _is_whole(node, len(nodes)))
        finally:
            for node in nodes:
                node.close()


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _start(directory: Path, port: int, bus_port: int) -> ChildProcess:
    directory.mkdir()
    options = {
        "bind": "127.0.0.1",
        "port": str(port),
        "cluster-enabled": "yes",
        "cluster-port": str(bus_port),
        "cluster-config-file": str(directory / "nodes.conf"),
        "cluster-node-timeout": "5000",
        "dir": str(directory),
        "save": "",
        "appendonly": "no",
    }
    command = [part for name, value in options.items() for part in (f"--{name}", value)]
    return ChildProcess(
        [valkey_program(), *command], output=directory / "log", death_signal=signal.SIGTERM
    )


def _tell(node: redis.Redis, *command: str | int) -> None:
    node.execute_command(*command)  # type: ignore[no-untyped-call]


def _is_whole(node: redis.Redis, size: int) -> bool:
    info = node.cluster("info")
    return bool(info["cluster_state"] == "ok" and int(info["cluster_known_nodes"]) == size)


def _wait(condition: object) -> None:
    assert callable(condition)
    give_up = time.monotonic() + _READY_SECONDS
    while True:
        try:
            if condition():
                return
        except (RedisError, OSError):
            pass
        assert time.monotonic() < give_up, "the cluster does not come up"
        time.sleep(0.05)
