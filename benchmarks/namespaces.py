"""Network namespaces that stand for machines: each with an address of its own on one bridge.

Needs root and iproute2. The machine's own programs reach every node by its address.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Final

_END_SECONDS: Final = 20.0


def why_not() -> str:
    """What is missing for namespaces here; empty when nothing is."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need the ip command (iproute2)"
    tried = f"srt{secrets.token_hex(3)}"
    made = subprocess.run(
        ["ip", "netns", "add", tried], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        return f"network namespaces can't be made here: {made.stderr.strip()}"
    _ip("netns", "delete", tried)
    return ""


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


class Namespace:
    """One node. `address` is reachable from the machine and from the other nodes."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address
        self._started: list[subprocess.Popen[bytes]] = []

    def command(self, *command: str) -> list[str]:
        """`command` as the node runs it."""
        return ["ip", "netns", "exec", self.name, *command]

    def start(
        self, *command: str, env: Mapping[str, str], output: IO[bytes], cwd: str | None = None
    ) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            self.command(*command),
            env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
        self._started.append(process)
        return process

    def pids(self) -> list[int]:
        """Of everything that runs on this node."""
        shown = subprocess.run(
            ["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False
        )
        return [int(pid) for pid in shown.stdout.split()]

    def end(self, number: int = signal.SIGKILL) -> None:
        """Signals everything on the node and waits until nothing runs there."""
        give_up = time.monotonic() + _END_SECONDS
        while pids := self.pids():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            if time.monotonic() > give_up:
                raise TimeoutError(f"{self.name}: {pids} don't end")
            time.sleep(0.1)
        for process in self._started:
            process.wait()


@contextmanager
def namespaces(count: int) -> Iterator[Sequence[Namespace]]:
    """Everything that runs in them is killed at the end of the block, and they are removed."""
    suffix = secrets.token_hex(2)
    network = f"10.{secrets.randbelow(100) + 100}.{secrets.randbelow(254) + 1}"
    bridge = f"srb{suffix}"
    nodes = [Namespace(f"srn{suffix}{n}", f"{network}.{n + 1}") for n in range(count)]
    with contextlib.ExitStack() as stack:
        _ip("link", "add", bridge, "type", "bridge")
        stack.callback(_ip, "link", "delete", bridge)
        _ip("address", "add", f"{network}.254/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for number, node in enumerate(nodes):
            _ip("netns", "add", node.name)
            stack.callback(_ip, "netns", "delete", node.name)
            stack.callback(node.end)
            outside, inside = f"sro{suffix}{number}", f"sri{suffix}{number}"
            _ip("link", "add", outside, "type", "veth", "peer", "name", inside)
            _ip("link", "set", inside, "netns", node.name)
            _ip("link", "set", outside, "master", bridge, "up")
            for arguments in (
                ("address", "add", f"{node.address}/24", "dev", inside),
                ("link", "set", inside, "up"),
                ("link", "set", "lo", "up"),
                # Programs find out their own address by the route to somewhere.
                ("route", "add", "default", "via", f"{network}.254"),
            ):
                _ip("-n", node.name, *arguments)
        yield nodes
