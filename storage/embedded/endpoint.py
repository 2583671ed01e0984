"""Where an embedded server's unix socket lives, and how other programs of the same user find it.

The address of a unix socket ends at 107 bytes (unix(7)), so sockets cannot live below a data
directory of any depth: they get a short private directory in the temporary folder, and the data
directory holds a file that names it.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Final

from config.errors import AppError
from storage.embedded.process import Account

SOCKET_PATH_LIMIT_BYTES: Final = 107
_PREFIX: Final = "serai-"
# What mkdtemp appends, and the longest name that a server creates inside.
_DIRECTORY_BYTES: Final = len(f"/{_PREFIX}01234567")
_LONGEST_SOCKET_NAME_BYTES: Final = len("/.s.PGSQL.65535.lock")
# A comma separates socket directories in Postgres' settings; the rest would need URL quoting.
_PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9_./-]+")


def reachable(directory: Path, account: Account | None) -> bool:
    """Whether `account` (None: the current user) may enter `directory` and all above it.

    Looks at mode bits only: access lists are not read.
    """
    if account is None:
        return os.access(directory, os.X_OK)
    for folder in (directory, *directory.parents):
        mode = folder.stat()
        if mode.st_uid == account.uid:
            allowed = mode.st_mode & 0o100
        elif mode.st_gid == account.gid:
            allowed = mode.st_mode & 0o010
        else:
            allowed = mode.st_mode & 0o001
        if not allowed:
            return False
    return True


def socket_parent(account: Account | None) -> Path:
    """A folder in which a socket path stays short enough. Raises `AppError("unavailable")`."""
    candidates = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/run")]
    for folder in candidates:
        length = len(os.fsencode(folder)) + _DIRECTORY_BYTES + _LONGEST_SOCKET_NAME_BYTES
        if (
            length <= SOCKET_PATH_LIMIT_BYTES
            and _PLAIN_PATH.fullmatch(str(folder))
            and folder.is_dir()
            and os.access(folder, os.W_OK | os.X_OK)
            and reachable(folder.resolve(), account)
        ):
            return folder
    raise AppError(
        "unavailable",
        f"no folder for unix sockets: {candidates[0]} is too long, closed or not writable; "
        "set TMPDIR to a short folder",
    )


class Endpoint:
    """The socket directory of one server. It stays the same over restarts of the server, because
    clients hold its address; `release` removes it."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._directory: Path | None = None

    def acquire(self, account: Account | None) -> Path:
        """Makes the directory (mode 0700, owned by `account`) and removes a killed tree's one."""
        if self._directory is None:
            previous = _recorded(self._data_dir)
            if previous is not None:
                shutil.rmtree(previous, ignore_errors=True)
            directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=socket_parent(account)))
            _record(self._data_dir).write_text(f"{directory}\n{self._data_dir}\n")
            self._directory = directory
        elif not self._directory.is_dir():  # a cleaner of the temporary folder was here
            self._directory.mkdir(mode=0o700)
        if account is not None:
            os.chown(self._directory, account.uid, account.gid)
        return self._directory

    def release(self) -> None:
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            _record(self._data_dir).unlink(missing_ok=True)
            self._directory = None


def live_socket(data_dir: Path, name: str) -> Path | None:
    """The socket `name` of the server that runs on `data_dir` now, else None."""
    directory = _recorded(data_dir)
    if directory is None:
        return None
    path = directory / name
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(str(path))
        except OSError:
            return None
    return path


def _record(data_dir: Path) -> Path:
    return data_dir / "socket_dir"


def _recorded(data_dir: Path) -> Path | None:
    try:
        directory, owner = _record(data_dir).read_text().splitlines()
    except (OSError, ValueError):
        return None
    # A copied data directory still names the sockets of the original, which may be in use.
    if Path(owner) != data_dir or not Path(directory).name.startswith(_PREFIX):
        return None
    return Path(directory)
