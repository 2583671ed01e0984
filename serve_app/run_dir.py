"""What a run keeps on disk: its short private directory, and the secrets of its data directory."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Final

from config.errors import AppError
from storage.embedded.endpoint import socket_parent

_PREFIX: Final = "serai-run-"
_RECORD: Final = "run_dir"


class RunDir:
    """A directory in the temporary folder: sockets need short paths, and Ray's logs are no data."""

    def __init__(self, data_dir: Path) -> None:
        """Removes the one that a killed run left behind: call it with the data directory's lock
        held. A copied data directory names the original's run, which may go on: that one stays."""
        self._record = data_dir / _RECORD
        try:
            previous, owner = self._record.read_text().splitlines()
        except (OSError, ValueError):
            pass
        else:
            if Path(owner) == data_dir and Path(previous).name.startswith(_PREFIX):
                shutil.rmtree(previous, ignore_errors=True)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=socket_parent(None)))
        self._record.write_text(f"{self.path}\n{data_dir}\n")

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._record.unlink(missing_ok=True)


def kept_secret(path: Path) -> str:
    """The random secret in this file, made at the first start, readable by its owner alone.

    It appears whole or not at all: a run killed in between must not leave an empty one. Raises
    AppError where it can't be read.
    """
    try:
        secret = path.read_text().strip()
    except FileNotFoundError:
        secret = ""
    except OSError as error:
        raise AppError("unavailable", f"{path} can't be read: {error.strerror}") from error
    if secret:
        return secret
    secret = secrets.token_urlsafe(48)
    descriptor, fresh = tempfile.mkstemp(dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secret)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(fresh)
        raise
    return secret
