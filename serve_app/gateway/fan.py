"""The innermost loop of the fan-out: one message to many sockets, compiled where a C compiler is.

fan.c is compiled once into build/, by `make` or by the first gateway that finds it missing, under a
name that holds the hash of its source. Where there is no compiler the same loop runs in Python.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

BY_TRANSPORT: Final = -1
"""In place of an fd: its transport holds unsent bytes, or is the only one that may write."""
GONE: Final = -2
"""In place of an fd: nothing is to be sent any more."""

Shortfall = tuple[int, int]
"""(place, bytes sent); -1 sent for BY_TRANSPORT."""

Fan = Callable[["array[int]", int, bytes, int], tuple[int, Sequence[Shortfall]]]
"""(fds, first place, data, deadline) -> (place to go on from, who got less than everything).

Sends `data` to each fd until all are done or CLOCK_MONOTONIC shows the deadline, in nanoseconds;
it looks after every eighth socket. Never waits, raises nothing for a broken socket.
"""

_SOURCE: Final = Path(__file__).with_name("fan.c")
_BUILD: Final = Path(__file__).resolve().parents[2] / "build"
_COMPILE: Final = ("-O2", "-shared", "-fPIC", "-Wall", "-Wextra")
_COMPILE_SECONDS: Final = 30.0
_SENDS_PER_LOOK_AT_THE_CLOCK: Final = 8
_NOTHING: Final[Sequence[Shortfall]] = ()


@cache
def fan() -> Fan:
    """The compiled loop if it can be had, else that in Python; blocks while it compiles."""
    try:
        compiled = _load(_library())
    except (OSError, subprocess.SubprocessError) as error:
        log.info("direct sends run in Python: %s", error)
        return fan_in_python
    log.info("direct sends run compiled")
    return compiled


def _library() -> Path:
    """Raises OSError or SubprocessError when there is none and none can be made."""
    source = _SOURCE.read_bytes()
    machine = f"{platform.machine()} {platform.libc_ver()} {_COMPILE}"
    name = hashlib.sha256(source + machine.encode()).hexdigest()[:16]
    library = _BUILD / f"fan-{name}.so"
    if not library.exists():
        compiler = shutil.which(os.environ.get("CC", "cc"))
        if compiler is None:
            raise FileNotFoundError("there is no C compiler")
        _BUILD.mkdir(parents=True, exist_ok=True)
        # Several processes may do this at once: each makes its own, the last one's name stays.
        with tempfile.TemporaryDirectory(dir=_BUILD, prefix="fan-") as folder:
            fresh = Path(folder) / library.name
            subprocess.run(
                [compiler, *_COMPILE, "-o", str(fresh), str(_SOURCE)],
                check=True,
                capture_output=True,
                timeout=_COMPILE_SECONDS,
            )
            fresh.replace(library)
    return library


def _load(library: Path) -> Fan:
    function = ctypes.CDLL(str(library)).serai_fan
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    function.argtypes = [
        pointer, integer, integer, ctypes.c_char_p, integer, ctypes.c_int64,
        pointer, pointer, ctypes.POINTER(integer),
    ]  # fmt: skip
    function.restype = integer
    places: array[int] = array("i")
    sent: array[int] = array("i")
    shorts = integer()
    to_shorts = ctypes.byref(shorts)

    def fan_in_c(
        fds: array[int], start: int, data: bytes, deadline_ns: int
    ) -> tuple[int, Sequence[Shortfall]]:
        count = len(fds)
        if len(places) < count:
            more = bytes(4 * (count - len(places)))
            places.frombytes(more)
            sent.frombytes(more)
        end = function(
            fds.buffer_info()[0], start, count, data, len(data), deadline_ns,
            places.buffer_info()[0], sent.buffer_info()[0], to_shorts,
        )  # fmt: skip
        number = shorts.value
        return end, tuple(zip(places[:number], sent[:number], strict=True)) if number else _NOTHING

    return fan_in_c


def fan_in_python(
    fds: array[int], start: int, data: bytes, deadline_ns: int
) -> tuple[int, Sequence[Shortfall]]:
    shortfalls: list[Shortfall] = []
    size = len(data)
    for place in range(start, len(fds)):
        fd = fds[place]
        taken = send_once(fd, data) if fd >= 0 else -1
        if taken != size and fd != GONE:
            shortfalls.append((place, taken))
        looks = (place - start + 1) % _SENDS_PER_LOOK_AT_THE_CLOCK == 0
        if looks and time.monotonic_ns() >= deadline_ns:
            return place + 1, shortfalls
    return len(fds), shortfalls


def send_once(fd: int, data: bytes) -> int:
    """How many bytes a non-blocking socket took; 0 also for a broken one."""
    try:
        return os.write(fd, data)
    except OSError:
        return 0  # full, or broken: its transport finds out which


def main() -> int:
    """Compiles, so that no gateway has to. A machine without a compiler is no failure."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    fan()
    return 0


if __name__ == "__main__":
    sys.exit(main())
