"""A child process that ends with its parent and can be awaited from any event loop.

`subprocess.Popen` and a pidfd instead of `asyncio.create_subprocess_exec`: the latter ties a child
to the loop that started it and needs a watcher thread.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from config.errors import AppError

_LAUNCHER: Final = Path(__file__).with_name("launch.py")
_PROC: Final = Path("/proc")
_POLL_SECONDS: Final = 0.05
_ENVIRONMENT_KEPT: Final = ("PATH", "TMPDIR")


@dataclass(frozen=True)
class Account:
    """A user of the operating system."""

    uid: int
    gid: int
    name: str


def child_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """A minimal environment: a stray PGPORT, PGOPTIONS or LD_PRELOAD must not reach a server."""
    kept = {name: os.environ[name] for name in _ENVIRONMENT_KEPT if name in os.environ}
    return kept | {"LC_ALL": "C"} | dict(extra or {})


class ChildProcess:
    """One running program.

    Start it in the main thread: the kernel sends `death_signal` when the *thread* that forked ends.
    The child gets its own session, so that Ctrl-C in the terminal reaches only the supervisor.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        output: Path,
        death_signal: signal.Signals,
        account: Account | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Starts `command` (absolute program path); stdout and stderr overwrite the file `output`.

        `account` changes the user and needs root. Raises `AppError("unavailable")`.
        """
        uid, gid = (account.uid, account.gid) if account else (-1, -1)
        launcher = [sys.executable, "-I", "-S", str(_LAUNCHER)]
        identity = [str(value) for value in (os.getpid(), int(death_signal), uid, gid)]
        self.output = output
        try:
            with output.open("wb") as stream:
                self._popen = subprocess.Popen(
                    [*launcher, *identity, *map(str, command)],
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=stream,
                    env=child_environment(environment),
                    # The supervisor's own directory may be closed to the other account.
                    cwd="/",
                    start_new_session=True,
                )
        except OSError as error:
            raise AppError("unavailable", f"cannot start {command[0]}: {error}") from error

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def send(self, number: signal.Signals) -> None:
        """No error when the child is already gone."""
        self._popen.send_signal(number)

    def output_tail(self, limit_bytes: int = 2000) -> str:
        try:
            return self.output.read_bytes()[-limit_bytes:].decode(errors="replace").strip()
        except OSError:
            return ""

    async def wait_exit(self) -> int:
        """The exit status (negative: the signal). Cancelling it leaves the child running."""
        while (status := self._popen.poll()) is None:
            await _exit_hint(self._popen.pid)
        return status

    async def wait_exit_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self.wait_exit()
        except TimeoutError:
            return False
        return True

    async def end(self, steps: Sequence[tuple[signal.Signals, float]]) -> int:
        """Sends each signal in turn until the child is gone within that step's seconds.

        SIGKILL follows the last step, also when the caller is cancelled meanwhile.
        """
        try:
            for number, seconds in steps:
                self.send(number)
                if await self.wait_exit_within(seconds):
                    break
        finally:
            if self.running:
                self.send(signal.SIGKILL)
                self._popen.wait()
        return await self.wait_exit()


async def _exit_hint(pid: int) -> None:
    """Returns once the child may have ended."""
    if not hasattr(os, "pidfd_open"):
        await asyncio.sleep(_POLL_SECONDS)
        return
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:  # no pidfd in this kernel or sandbox
        await asyncio.sleep(_POLL_SECONDS)
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def processes_in(directory: Path, program: str) -> list[int]:
    """Pids of `program` that work in `directory`: what an earlier, killed server tree left behind.

    Zombies don't count. Empty where there is no /proc.
    """
    if not _PROC.is_dir():
        return []
    candidates = (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())
    return [pid for pid in candidates if _works_in(pid, directory, program)]


def _works_in(pid: int, directory: Path, program: str) -> bool:
    process = _PROC / str(pid)
    try:
        if (process / "comm").read_text().strip() != program:
            return False
        try:
            return Path(os.readlink(process / "cwd")) == directory
        except PermissionError:
            # Root without CAP_SYS_PTRACE (containers) may not read another user's cwd.
            command = (process / "cmdline").read_bytes().split(b"\0")
            return os.fsencode(directory) in command
    except OSError:  # ended meanwhile, or a zombie
        return False


async def end_leftovers(
    directory: Path, program: str, steps: Sequence[tuple[signal.Signals, float]]
) -> None:
    """Ends what `processes_in` finds, by each signal in turn and at last SIGKILL.

    The caller holds the lock of the data directory: whatever runs there is an orphan. Raises
    `AppError("unavailable")` when something outlives SIGKILL.
    """
    clock = asyncio.get_running_loop().time
    for number, seconds in [*steps, (signal.SIGKILL, 5.0)]:
        for pid in processes_in(directory, program):
            _send(pid, number)
        deadline = clock() + seconds
        while processes_in(directory, program):
            if clock() > deadline:
                break
            await asyncio.sleep(_POLL_SECONDS)
        else:
            return
    raise AppError("unavailable", f"{program} still uses {directory} and cannot be ended")


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise AppError("unavailable", f"process {pid} belongs to another user") from error
