"""What the bars need of the machine: children that surely end, ports, folders, C programs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
_BUILD: Final = ROOT / "build" / "benchmarks"
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_READY_SECONDS: Final = 120.0
_END_SECONDS: Final = 20.0
_LOAD_GRACE_SECONDS: Final = 60.0


class BenchmarkError(Exception):
    """The bar could not be measured; the message says why."""


def free_port() -> int:
    """A loopback port that nobody listens on. Somebody else may take it before you do."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def work_folder() -> Iterator[Path]:
    """A new folder, removed at the end. Others may enter it: started by root, PostgreSQL runs as
    another user."""
    folder = Path(tempfile.mkdtemp(prefix="sb-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time that the processes have used so far. Raises BenchmarkError for one that
    has ended: then a difference would be wrong."""
    total = 0
    for pid in pids:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError as error:
            raise BenchmarkError(f"process {pid} is gone") from error
        # The name of the program may hold blanks; it ends at the last parenthesis.
        fields = stat.rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def built(source: str) -> Path:
    """The program made of one C file of benchmarks/, compiled when the file is newer."""
    path = ROOT / "benchmarks" / source
    program = _BUILD / path.stem
    if not program.exists() or program.stat().st_mtime < path.stat().st_mtime:
        compiler = shutil.which(os.environ.get("CC", "cc"))
        if compiler is None:
            raise BenchmarkError("a C compiler is needed (Debian, Ubuntu: apt-get install gcc)")
        _BUILD.mkdir(parents=True, exist_ok=True)
        fresh = program.with_suffix(f".{os.getpid()}")
        subprocess.run(
            [compiler, "-O2", "-Wall", "-Wextra", "-o", str(fresh), str(path), "-lm"], check=True
        )
        fresh.replace(program)
    return program


def module(name: str, *arguments: object) -> list[str]:
    """The command line of a module of this checkout."""
    return [sys.executable, "-m", name, *map(str, arguments)]


def on_core(core: int) -> list[str]:
    """What a command is to be run by, so that it stays on that core. Raises BenchmarkError on a
    machine without it."""
    if core not in os.sched_getaffinity(0):
        raise BenchmarkError(f"core {core} is needed, there are {os.sched_getaffinity(0)}")
    return ["taskset", "--cpu-list", str(core)]


@asynccontextmanager
async def running(
    command: list[str], *, env: Mapping[str, str] | None = None, log: Path | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A child of this process until the block ends: then SIGTERM, and SIGKILL when it stays.

    The block begins when the child has printed a line that is `ready`; with `log`, which takes all
    that it prints, it begins at once.
    """
    with contextlib.ExitStack() as files:
        written = files.enter_context(log.open("wb")) if log else None
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            stdout=written or asyncio.subprocess.PIPE,
            stderr=written or sys.stderr,
        )
    try:
        if log is None:
            await _wait_ready(process, command)
        yield process
    finally:
        await _end(process)


async def _wait_ready(process: asyncio.subprocess.Process, command: list[str]) -> None:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_READY_SECONDS):
            while line := await process.stdout.readline():
                if line.strip() == b"ready":
                    return
    except TimeoutError:
        raise BenchmarkError(f"not ready in time: {command}") from None
    raise BenchmarkError(f"ended before it was ready: {command}")


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_END_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
    await process.wait()


async def json_of(
    command: list[str], seconds: float, *, accepted: Collection[int] = (0,)
) -> dict[str, Any]:
    """The result line of a load program that runs for some `seconds`. Raises BenchmarkError where
    its exit status is none of `accepted`: what it measured is then not what was asked for."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(seconds + _LOAD_GRACE_SECONDS):
            output, errors = await process.communicate()
    except TimeoutError:
        raise BenchmarkError(f"{command[0]} did not end") from None
    finally:
        await _end(process)
    lines = output.decode().splitlines()
    if process.returncode not in accepted or not lines:
        detail = errors.decode(errors="replace").strip() or output.decode(errors="replace").strip()
        raise BenchmarkError(f"{Path(command[0]).name} exited {process.returncode}: {detail}")
    result: dict[str, Any] = json.loads(lines[-1])
    return result
