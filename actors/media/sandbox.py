"""A process of its own for opening what a stranger has sent; run as `python -m`.

A file that makes a decoder run wild takes this process with it and nothing else: it has bounds of
memory, time and disk, an empty environment, and dies with its worker.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec

from actors.media.limits import Limits, Processed, Refused
from actors.media.sniffing import HEAD_BYTES, sniff

_ROOT: Final = Path(__file__).resolve().parents[2]
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
# The clock runs on while the machine does other things: the bound of CPU time ends it much earlier.
_WALL_SECONDS: Final = 300.0
_OPEN_FILES: Final = 64
_NICE: Final = 10
_DAMAGED: Final = "It is damaged, or not what it seems to be."
_TOO_MUCH: Final = "Opening it takes too much memory or time."


def process(source: Path, folder: Path, limits: Limits) -> Processed:
    """What `source` is and becomes; blocks for as long as that takes. The results are in `folder`:
    `original`, and thumbnails by size. Raises RuntimeError where the file is not to blame."""
    command = [sys.executable, "-m", __name__, str(source), str(folder)]
    command += [msgspec.json.encode(limits).decode(), str(os.getpid())]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_WALL_SECONDS,
            cwd=_ROOT,
            # None of the worker's secrets; and threads must not each reserve memory of their own.
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "1"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Processed(_TOO_MUCH)
    if done.returncode < 0:  # killed by a bound, or a decoder that crashed
        return Processed(_TOO_MUCH)
    if done.returncode:
        raise RuntimeError(f"the process that opens files ended with {done.returncode}")
    return msgspec.json.decode(done.stdout, type=Processed)


def main(arguments: list[str]) -> int:
    source, folder = Path(arguments[0]), Path(arguments[1])
    limits = msgspec.json.decode(arguments[2], type=Limits)
    _confine(limits, int(arguments[3]))
    sys.stdout.buffer.write(msgspec.json.encode(_process(source, folder, limits)))
    return 0


def _process(source: Path, folder: Path, limits: Limits) -> Processed:
    with source.open("rb") as file:
        kind = sniff(file.read(HEAD_BYTES))
    try:
        if kind is None:
            raise Refused("Only JPEG, PNG, WebP, GIF, AVIF and PDF are taken.")
        # Only here, behind the bounds, is a decoder loaded at all.
        if kind == "pdf":
            from actors.media.documents import process_pdf

            return process_pdf(source, folder, limits)
        from actors.media.images import process_image

        return process_image(source, folder, kind, limits)
    except Refused as refusal:
        return Processed(str(refusal))
    except MemoryError:
        return Processed(_TOO_MUCH)
    except Exception:  # whatever the decoders raise: there is no list of it
        return Processed(_DAMAGED)


def _confine(limits: Limits, parent_pid: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        sys.exit("the worker is gone")
    os.nice(_NICE)
    for kind, bound in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (bound, bound))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
