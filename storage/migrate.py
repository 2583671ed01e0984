"""Brings a database to the newest schema: applies `storage/migrations/NNNN_name.sql` in order.

The files have dbmate's format (`-- migrate:up`, `-- migrate:down`), the runner is ours because
dbmate takes no lock and two nodes that start together collide. Forward only: the down part is
ignored.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from config.errors import AppError

_log = logging.getLogger(__name__)

MIGRATIONS: Final = Path(__file__).with_name("migrations")

_LOCK_KEY: Final = int.from_bytes(b"serai-mi")
_LOCK_POLL_SECONDS: Final = 0.1
_LOCK_TIMEOUT: Final = "5s"
_LOCK_ATTEMPTS: Final = 6
_CONNECT_SECONDS: Final = 15.0

_FILE_NAME: Final = re.compile(r"(\d+)_(\w+)\.sql")
_UP: Final = re.compile(r"^--[ \t]*migrate:up\b([^\n]*)$", re.MULTILINE)
_DOWN: Final = re.compile(r"^--[ \t]*migrate:down\b", re.MULTILINE)
# What may hide a semicolon: comments, strings, quoted names, dollar quotes.
_HIDING: Final = re.compile(
    r"--[^\n]*|/\*.*?\*/|[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|\"[^\"]*\"|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$|;",
    re.DOTALL,
)

_CREATE_TABLE: Final = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version text PRIMARY KEY,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)"""
_RECORD: Final = "INSERT INTO schema_migrations (version, name, sha256) VALUES ($1, $2, $3)"


@dataclass(frozen=True)
class Migration:
    """`up` is the SQL between the two markers; `name` the file's name without suffix."""

    version: str
    name: str
    sha256: str
    up: str
    transaction: bool


def read_migrations(directory: Path) -> list[Migration]:
    """All of `directory` by version. Raises `AppError("invalid")` naming the file."""
    migrations = [_read(path) for path in sorted(directory.glob("*.sql"))]
    migrations.sort(key=lambda migration: int(migration.version))
    for earlier, later in itertools.pairwise(migrations):
        if int(earlier.version) == int(later.version):
            raise AppError("invalid", f"{earlier.name} and {later.name} have the same version")
    return migrations


def _read(path: Path) -> Migration:
    name = _FILE_NAME.fullmatch(path.name)
    if name is None:
        raise AppError("invalid", f"{path.name}: migrations are named NNNN_name.sql")
    text = path.read_text(encoding="utf-8").replace("\r\n", "\n")
    up = _UP.search(text)
    if up is None:
        raise AppError("invalid", f"{path.name}: no line '-- migrate:up'")
    down = _DOWN.search(text, up.end())
    return Migration(
        version=name[1],
        name=path.stem,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        up=text[up.end() : down.start() if down else len(text)],
        transaction="transaction:false" not in up[1].replace(" ", ""),
    )


def split_statements(sql: str) -> list[str]:
    """Cuts at the semicolons outside of comments, strings, quoted names and dollar quotes."""
    pieces: list[str] = []
    start = 0
    for match in _HIDING.finditer(sql):
        if match[0] == ";":
            pieces.append(sql[start : match.start()])
            start = match.end()
    pieces.append(sql[start:])
    return [piece.strip() for piece in pieces if _has_code(piece)]


def _has_code(piece: str) -> bool:
    return bool(re.sub(r"--[^\n]*|/\*.*?\*/", "", piece, flags=re.DOTALL).strip())


async def migrate(url: str, directory: Path = MIGRATIONS) -> list[str]:
    """Applies what is missing and returns the names of what it applied, in order.

    Safe to run on several nodes at once: one works, the others wait. Each file is one transaction;
    one marked `transaction:false` runs statement by statement and must be repeatable, since a
    failure leaves its first statements done. Raises `AppError`: "conflict" when an applied file
    was changed, "invalid" for a faulty file or statement, "unavailable" when the database is not
    reachable or its tables stay locked. `url` must lead to Postgres itself or a pooler in session
    mode: the lock belongs to the session.
    """
    migrations = await asyncio.to_thread(read_migrations, directory)
    try:
        connection = await asyncpg.connect(url, timeout=_CONNECT_SECONDS)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise AppError("unavailable", f"cannot connect to Postgres: {error}") from error
    try:
        await _lock(connection)
        await connection.execute(_CREATE_TABLE)
        missing = await _missing(connection, migrations)
        for migration in missing:
            await _apply(connection, migration)
            _log.info("applied %s", migration.name)
        return [migration.name for migration in missing]
    except (OSError, asyncpg.InterfaceError, asyncpg.PostgresError) as error:
        raise AppError("unavailable", f"the migration was interrupted: {error}") from error
    finally:
        await connection.close()


async def _lock(connection: asyncpg.Connection) -> None:
    # Not pg_advisory_lock: a statement that waits holds a snapshot, and the CREATE INDEX
    # CONCURRENTLY of the lock's holder waits for all snapshots.
    while True:
        if await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK_KEY):
            break
        await asyncio.sleep(_LOCK_POLL_SECONDS)
    await connection.execute(f"SET lock_timeout = '{_LOCK_TIMEOUT}'")


async def _missing(
    connection: asyncpg.Connection, migrations: Sequence[Migration]
) -> list[Migration]:
    rows = await connection.fetch("SELECT version, name, sha256 FROM schema_migrations")
    applied = {row["version"]: row["sha256"] for row in rows}
    for migration in migrations:
        if applied.get(migration.version, migration.sha256) != migration.sha256:
            raise AppError(
                "conflict",
                f"{migration.name} was changed after it was applied: "
                "restore the file and write the change as a new migration",
            )
    known = {migration.version for migration in migrations}
    if newer := sorted(row["name"] for row in rows if row["version"] not in known):
        _log.warning("the database has migrations that this program doesn't know: %s", newer)
    return [migration for migration in migrations if migration.version not in applied]


async def _apply(connection: asyncpg.Connection, migration: Migration) -> None:
    for attempt in range(1, _LOCK_ATTEMPTS + 1):
        try:
            if migration.transaction:
                async with connection.transaction():
                    await connection.execute(migration.up)
                    await _record(connection, migration)
            else:
                for statement in split_statements(migration.up):
                    await connection.execute(statement)
                await _record(connection, migration)
            return
        except asyncpg.LockNotAvailableError as error:
            if attempt == _LOCK_ATTEMPTS or not migration.transaction:
                raise AppError(
                    "unavailable", f"{migration.name}: tables stay locked by others: {error}"
                ) from error
            _log.warning("%s waits for locked tables, attempt %d", migration.name, attempt)
        except (asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError):
            raise
        except asyncpg.PostgresError as error:
            raise AppError("invalid", _describe(migration, error)) from error


async def _record(connection: asyncpg.Connection, migration: Migration) -> None:
    await connection.execute(_RECORD, migration.version, migration.name, migration.sha256)


def _describe(migration: Migration, error: asyncpg.PostgresError) -> str:
    """With the line of the file's up part, where Postgres names a position."""
    position = getattr(error, "position", None)
    line = ""
    if migration.transaction and position is not None:
        line = f" (line {migration.up.count(chr(10), 0, int(position) - 1) + 1} of the up part)"
    return f"{migration.name}{line}: {error}"
