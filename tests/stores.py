"""The real stores for tests: one server each per session, a fresh database per test."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import subprocess
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from storage.embedded.postgres import EmbeddedPostgres
from storage.embedded.valkey import EmbeddedValkey
from storage.migrate import MIGRATIONS, migrate

TEMPLATE: Final = "serai_template"

T = TypeVar("T")


def short_directory() -> Path:
    """A new folder that every user may enter: started by root, Postgres runs as another user.
    (pytest's own temporary folders are closed to others.) The caller removes it."""
    directory = Path(tempfile.mkdtemp(prefix="st-"))
    directory.chmod(0o755)
    return directory


def with_database(url: str, name: str) -> str:
    """The same server's URL for the database `name`."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


class OwnLoop:
    """Runs coroutines for synchronous fixtures without touching pytest-asyncio's current loop."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(coroutine)

    def close(self) -> None:
        self._loop.close()


class PostgresForTests:
    """An embedded server without fsync, whose template database holds the newest schema."""

    def __init__(self) -> None:
        self._directory = short_directory()
        self._server = EmbeddedPostgres(self._directory / "postgres", durable=False)
        self._loop = OwnLoop()
        self._numbers = itertools.count(1)
        self.url = ""

    def __enter__(self) -> Self:
        self.url = self._loop.run(self._server.start())
        self._loop.run(self._make_template())
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run(self._server.close())
        self._loop.close()
        shutil.rmtree(self._directory)

    def create_database(self, template: str = TEMPLATE) -> str:
        """The URL of a new copy of `template`."""
        name = f"test_{next(self._numbers)}"
        # The template is empty of content: copying through the log is quicker than checkpoints.
        self._loop.run(self._execute(f"CREATE DATABASE {name} TEMPLATE {template}"))
        return with_database(self.url, name)

    def drop_database(self, url: str) -> None:
        name = urlsplit(url).path.lstrip("/")
        self._loop.run(self._execute(f"DROP DATABASE {name} WITH (FORCE)"))

    async def _make_template(self) -> None:
        await self._execute(f"CREATE DATABASE {TEMPLATE}")
        if any(MIGRATIONS.glob("*.sql")):
            await migrate(with_database(self.url, TEMPLATE))

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


class ValkeyForTests:
    """An embedded server that keeps nothing on disk."""

    def __init__(self) -> None:
        self._directory = short_directory()
        self._server = EmbeddedValkey(self._directory / "valkey", durable=False)
        self._loop = OwnLoop()
        self.url = ""

    def __enter__(self) -> Self:
        self.url = self._loop.run(self._server.start())
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run(self._server.close())
        self._loop.close()
        shutil.rmtree(self._directory)


def make_initialised_postgres(data_dir: Path) -> None:
    """Leaves behind what a first start makes."""
    postgres = EmbeddedPostgres(data_dir, durable=False)
    loop = OwnLoop()
    try:
        loop.run(postgres.start())
    finally:
        loop.run(postgres.close())
        loop.close()


def copy_with_owners(source: Path, target: Path) -> Path:
    """`shutil.copytree` would give Postgres' files to root."""
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)
    return target
