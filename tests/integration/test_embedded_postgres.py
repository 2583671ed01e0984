"""The embedded PostgreSQL: first start, restart, kills, other users, odd places."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from config.errors import AppError
from storage.embedded import placement
from storage.embedded.postgres import EmbeddedPostgres, running_postgres_url
from storage.embedded.process import processes_in
from tests.conditions import process_ended, wait_ended, wait_until

pytestmark = pytest.mark.integration

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts it as another user")


@asynccontextmanager
async def server(data_dir: Path) -> AsyncIterator[tuple[EmbeddedPostgres, str]]:
    postgres = EmbeddedPostgres(data_dir, durable=False)
    try:
        yield postgres, await postgres.start()
    finally:
        await postgres.close()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def write_row(url: str) -> None:
    async with connected(url) as connection:
        await connection.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")


async def read_row(url: str) -> int:
    async with connected(url) as connection:
        value: int = await connection.fetchval("SELECT n FROM kept")
        return value


def listening_addresses(pid: int) -> set[str]:
    """Inodes of the process' sockets that appear in the kernel's TCP tables."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(descriptor)
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    lines = [line.split() for table in tables for line in table.read_text().splitlines()[1:]]
    return inodes & {fields[9] for fields in lines}


async def test_the_server_offers_what_serai_builds_on(short_directory: Path) -> None:
    # A deep place with awkward characters: nothing in it may reach a shell or a setting.
    data_dir = short_directory / ("deep directory, with 'quotes' " * 4) / ("d" * 100) / "postgres"
    async with server(data_dir) as (postgres, url):
        assert postgres.pid is not None and listening_addresses(postgres.pid) == set()
        sockets = Path(parse_qs(urlsplit(url).query)["host"][0])
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        async with connected(url) as connection:
            for name in ("vector", "pg_trgm", "unaccent", "btree_gin", "citext"):
                await connection.execute(f"CREATE EXTENSION {name}")
            assert await connection.fetchval("SHOW data_checksums") == "on"
            assert await connection.fetchval("SHOW server_encoding") == "UTF8"
            assert await connection.fetchval("SHOW listen_addresses") == ""
            assert await connection.fetchval("SELECT lower('ПРИВЕТ ÄÖ')") == "привет äö"
            # Fails when LC_CTYPE is C: trigrams would drop everything but ASCII.
            assert await connection.fetchval("SELECT similarity('привет мир', 'привет')") > 0.5
            assert await connection.fetchval("SELECT current_database()") == "serai"
    assert not sockets.exists()


async def test_a_restart_keeps_the_data_and_the_url(postgres_data_dir: Path) -> None:
    data_dir = postgres_data_dir
    assert running_postgres_url(data_dir) is None
    async with server(data_dir) as (postgres, url):
        await write_row(url)
        assert running_postgres_url(data_dir) == url
        with pytest.raises(AppError, match="already runs"):
            await postgres.start()
        await postgres.stop()
        assert postgres.pid is None
        assert await postgres.start() == url
        assert await read_row(url) == 7
    assert running_postgres_url(data_dir) is None
    async with server(data_dir) as (_, url):
        assert await read_row(url) == 7


async def test_a_killed_server_starts_again_at_once(postgres_data_dir: Path) -> None:
    async with server(postgres_data_dir) as (postgres, url):
        await write_row(url)
        async with connected(url) as connection:
            # A backend that is busy outlives its postmaster for a moment.
            busy = asyncio.create_task(connection.execute("SELECT pg_sleep(60)"))
            assert postgres.pid is not None
            os.kill(postgres.pid, signal.SIGKILL)
            assert await postgres.wait_exit() == -signal.SIGKILL
            assert await postgres.start() == url
            with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
                await busy
        assert await read_row(url) == 7


async def test_a_lock_file_of_a_stranger_does_not_stop_the_start(postgres_data_dir: Path) -> None:
    data_dir = postgres_data_dir
    async with server(data_dir) as (postgres, url):
        await write_row(url)
        assert postgres.pid is not None
        lock = data_dir / "db" / "postmaster.pid"
        content = lock.read_text()
        os.kill(postgres.pid, signal.SIGKILL)
        await postgres.wait_exit()
    # After a reboot the number in the file may be anybody's: here it is a shell of the same user.
    owner = lock.stat()
    user = owner.st_uid if os.geteuid() == 0 else None
    stranger = await asyncio.create_subprocess_exec("/bin/sleep", "60", cwd="/", user=user)
    try:
        lock.write_text(content.replace(content.split("\n", 1)[0], str(stranger.pid), 1))
        async with server(data_dir) as (_, url):
            assert await read_row(url) == 7
        assert stranger.returncode is None
    finally:
        stranger.kill()
        await stranger.wait()


async def test_an_orphan_is_ended_before_the_next_start(postgres_data_dir: Path) -> None:
    data_dir = postgres_data_dir
    orphan = EmbeddedPostgres(data_dir, durable=False)
    url = await orphan.start()
    await write_row(url)
    pid = orphan.pid
    assert pid is not None and pid in processes_in(data_dir / "db", "postgres")
    async with server(data_dir) as (postgres, url):
        assert process_ended(pid) and postgres.pid != pid
        assert await read_row(url) == 7
    await orphan.close()


async def test_an_interrupted_initdb_begins_anew(short_directory: Path) -> None:
    data_dir = short_directory / "postgres"
    partial = data_dir / "db.partial"
    partial.mkdir(parents=True)
    (partial / "PG_VERSION").write_text("18\n")
    async with server(data_dir) as (_, url):
        await write_row(url)
    assert not partial.exists()


async def test_a_cancelled_start_leaves_no_server(postgres_data_dir: Path) -> None:
    data_dir = postgres_data_dir
    postgres = EmbeddedPostgres(data_dir, durable=False)
    starting = asyncio.create_task(postgres.start())
    await wait_until(lambda: postgres.pid is not None)
    pid = postgres.pid
    assert pid is not None
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert process_ended(pid) and postgres.pid is None
    await postgres.close()


async def test_stop_ends_a_server_with_busy_clients(postgres_data_dir: Path) -> None:
    async with server(postgres_data_dir) as (postgres, url):
        pid = postgres.pid
        assert pid is not None
        async with connected(url) as connection:
            busy = asyncio.create_task(connection.execute("SELECT pg_sleep(60)"))
            await postgres.stop()
            assert process_ended(pid)
            with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
                await busy


async def test_a_damaged_database_is_reported_in_words(postgres_data_dir: Path) -> None:
    data_dir = postgres_data_dir
    (data_dir / "db" / "global" / "pg_control").unlink()
    with pytest.raises(AppError, match="PostgreSQL does not start"):
        async with server(data_dir):
            pass


@needs_root
async def test_root_uses_a_place_that_the_unprivileged_user_may_enter(
    short_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = short_directory / "home"
    home.mkdir(mode=0o700)
    package = placement.package_directory()
    hidden = home / "venv" / package.name
    shutil.copytree(package, hidden, copy_function=os.link)
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(libraries, hidden.with_name(libraries.name), copy_function=os.link)
    monkeypatch.setattr(placement, "package_directory", lambda: hidden)
    monkeypatch.setattr(placement, "ROOT_PLACE", short_directory / "var")
    data_dir = home / ".data" / "postgres"

    async with server(data_dir) as (postgres, url):
        await write_row(url)
        assert postgres.pid is not None
        assert Path(f"/proc/{postgres.pid}").stat().st_uid != 0
        program = Path(os.readlink(f"/proc/{postgres.pid}/exe"))
        assert program.is_relative_to(short_directory / "var")
    assert not (data_dir / "db").exists()
    moved = Path((data_dir / "MOVED_TO").read_text().strip())
    assert (moved / "db" / "PG_VERSION").exists()
    # Once moved it stays there, also when the home has become enterable.
    home.chmod(0o755)
    async with server(data_dir) as (_, url):
        assert await read_row(url) == 7


@needs_root
async def test_root_respects_the_owner_of_an_existing_database(postgres_data_dir: Path) -> None:
    data_dir = postgres_data_dir
    async with server(data_dir) as (_, url):
        await write_row(url)
    for folder, names, files in os.walk(data_dir):
        for name in [".", *names, *files]:
            os.chown(Path(folder) / name, 1, 1)
    async with server(data_dir) as (postgres, url):
        assert Path(f"/proc/{postgres.pid}").stat().st_uid == 1
        assert await read_row(url) == 7


def test_listening_addresses_sees_a_tcp_port() -> None:
    with socket.create_server(("127.0.0.1", 0)):
        assert listening_addresses(os.getpid())


def test_wait_ended_notices_a_zombie() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    wait_ended(pid)
    os.waitpid(pid, 0)
