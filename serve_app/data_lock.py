"""One server per data directory: an flock that the kernel releases however the holder ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final, Self

from config.errors import AppError

_FILE: Final = "lock"


class DataDirLock:
    """Held from `acquire` to `release` or the end of this process. Children don't inherit it."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._descriptor: int | None = None

    def acquire(self) -> Self:
        """Raises `AppError("conflict")` when another process holds it, `unavailable` when the
        directory cannot be written."""
        try:
            self._data_dir.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(
                self._data_dir / _FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644
            )
        except OSError as error:
            raise AppError("unavailable", f"cannot write to {self._data_dir}: {error}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            holder = _written_pid(self._data_dir)
            who = f"process {holder}" if holder else "another process"
            raise AppError(
                "conflict",
                f"{who} already runs Serai on {self._data_dir}: "
                "stop it, or choose another data directory (SERAI_DATA_DIR)",
            ) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor
        return self

    def release(self) -> None:
        # The file stays: removing it would let two holders lock two different files.
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def lock_holder(data_dir: Path) -> int | None:
    """The pid that holds the lock now (0 when it is unknown), else None. Changes nothing."""
    try:
        descriptor = os.open(data_dir / _FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return _written_pid(data_dir) or 0
    finally:
        os.close(descriptor)
    return None


def _written_pid(data_dir: Path) -> int | None:
    try:
        return int((data_dir / _FILE).read_text().strip())
    except (OSError, ValueError):
        return None
