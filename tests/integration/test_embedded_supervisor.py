"""The supervisor with the real stores: restarts, the lock, and the death of the supervisor."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import redis

from config.errors import AppError
from serve_app.data_lock import DataDirLock, lock_holder
from serve_app.supervisor import Child, Supervisor
from storage.embedded.postgres import EmbeddedPostgres
from storage.embedded.process import processes_in
from storage.embedded.valkey import EmbeddedValkey
from tests.conditions import process_ended, wait_ended, wait_until

pytestmark = pytest.mark.integration

# The promise of the failure table.
RESTART_SECONDS = 2.0


@dataclass
class Program:
    process: subprocess.Popen[str]
    urls: dict[str, str]
    pids: dict[str, int]


@contextmanager
def program(data_dir: Path) -> Iterator[Program]:
    # Killed programs leave their socket folders behind: here they go with the data directory.
    temporary = data_dir / "tmp"
    temporary.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.supervised_program", str(data_dir)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(temporary)},
    )
    with process:
        assert process.stdout is not None
        pids: dict[str, int] = {}
        try:
            ready = json.loads(process.stdout.readline())
            pids = {entry["role"]: entry["pid"] for entry in ready["processes"]}
            yield Program(process, ready["urls"], pids)
        finally:
            process.kill()
            process.wait()
            for pid in pids.values():
                wait_ended(pid)


def tree(data_dir: Path) -> list[int]:
    return [
        *processes_in(data_dir / "postgres" / "db", "postgres"),
        *processes_in(data_dir / "valkey", "valkey-server"),
    ]


async def insert(url: str, number: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
        await connection.execute("INSERT INTO kept VALUES ($1)", number)
    finally:
        await connection.close()


async def numbers(url: str) -> list[int]:
    connection = await asyncpg.connect(url)
    try:
        return [row["n"] for row in await connection.fetch("SELECT n FROM kept ORDER BY n")]
    finally:
        await connection.close()


@pytest.mark.parametrize("role", ["postgres", "valkey"])
async def test_a_killed_child_is_back_in_time(postgres_data_dir: Path, role: str) -> None:
    data_dir = postgres_data_dir.parent
    children: list[Child] = [
        EmbeddedPostgres(postgres_data_dir, durable=False),
        EmbeddedValkey(data_dir / "valkey"),
    ]
    supervisor = Supervisor(data_dir, children)
    urls = await supervisor.start()
    try:
        await insert(urls["postgres"], 1)
        before = {entry["role"]: entry["pid"] for entry in supervisor.processes()}
        assert set(before) == {"postgres", "valkey"}
        os.kill(before[role], signal.SIGKILL)
        # Generous here, because machines that run tests are busy; the bar is RESTART_SECONDS.
        await wait_until(lambda: supervisor.statistics()[role] == 1, 10 * RESTART_SECONDS)
        after = {entry["role"]: entry["pid"] for entry in supervisor.processes()}
        assert after[role] != before[role]
        assert [name for name in before if before[name] == after[name]] == [
            name for name in before if name != role
        ]
        assert await numbers(urls["postgres"]) == [1]
        with redis.Redis.from_url(urls["valkey"]) as client:
            assert client.ping()
    finally:
        await supervisor.stop()
    assert supervisor.processes() == []
    assert all(process_ended(pid) for pid in after.values())
    assert lock_holder(data_dir) is None


async def test_a_second_server_on_the_same_directory_is_refused(short_directory: Path) -> None:
    lock = DataDirLock(short_directory).acquire()
    try:
        assert lock_holder(short_directory) == os.getpid()
        second = Supervisor(short_directory, [EmbeddedValkey(short_directory / "valkey")])
        with pytest.raises(AppError, match=f"process {os.getpid()} already runs Serai") as refused:
            await second.start()
        assert refused.value.code == "conflict"
        assert not (short_directory / "valkey").exists()
    finally:
        lock.release()
    assert lock_holder(short_directory) is None


async def test_a_child_that_cannot_start_takes_the_others_down(short_directory: Path) -> None:
    (short_directory / "file").write_text("")
    valkey = EmbeddedValkey(short_directory / "valkey")
    broken = EmbeddedValkey(short_directory / "file" / "valkey")
    supervisor = Supervisor(short_directory, [valkey, broken])
    with pytest.raises(AppError, match="cannot prepare"):
        await supervisor.start()
    assert supervisor.processes() == [] and valkey.pid is None
    assert lock_holder(short_directory) is None


async def test_sigterm_leaves_nothing_behind(postgres_data_dir: Path) -> None:
    data_dir = postgres_data_dir.parent
    with program(data_dir) as running:
        assert lock_holder(data_dir) == running.process.pid
        running.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(running.process.wait, 30) == 0
        assert tree(data_dir) == []
        sockets = Path(running.urls["valkey"].removeprefix("unix://").split("?")[0])
        assert not sockets.parent.exists()


async def test_the_children_end_with_a_killed_supervisor(postgres_data_dir: Path) -> None:
    data_dir = postgres_data_dir.parent
    with program(data_dir) as running:
        await insert(running.urls["postgres"], 1)
        running.process.kill()
        for pid in running.pids.values():
            await asyncio.to_thread(wait_ended, pid)
    # A fast shutdown, not a crash: the log says so.
    logs = "".join(path.read_text() for path in (data_dir / "postgres" / "log").iterdir())
    assert "received fast shutdown request" in logs
    assert "database system is shut down" in logs
    with program(data_dir) as running:
        assert await numbers(running.urls["postgres"]) == [1]


async def test_the_next_start_works_while_the_killed_tree_still_ends(
    postgres_data_dir: Path,
) -> None:
    data_dir = postgres_data_dir.parent
    with program(data_dir) as first:
        await insert(first.urls["postgres"], 1)
        first.process.kill()
        first.process.wait()
        with program(data_dir) as second:
            assert await numbers(second.urls["postgres"]) == [1]
            assert all(process_ended(pid) for pid in first.pids.values())


async def test_kill_9_of_everything_loses_nothing(postgres_data_dir: Path) -> None:
    data_dir = postgres_data_dir.parent
    with program(data_dir) as running:
        await insert(running.urls["postgres"], 1)
        for pid in [running.process.pid, *running.pids.values()]:
            os.kill(pid, signal.SIGKILL)
        running.process.wait()
    with program(data_dir) as running:
        assert await numbers(running.urls["postgres"]) == [1]


async def test_a_copied_data_directory_leaves_the_original_alone(postgres_data_dir: Path) -> None:
    from tests.stores import copy_with_owners

    original = postgres_data_dir.parent
    with program(original) as running:
        copy = short_copy_parent(original)
        try:
            copy_with_owners(original / "valkey", copy / "valkey")
            copy_with_owners(original / "postgres", copy / "postgres")
            (copy / "postgres" / "db" / "postmaster.pid").touch()
            with program(copy) as second:
                assert second.urls != running.urls
                assert not process_ended(running.pids["postgres"])
            await insert(running.urls["postgres"], 1)
            with redis.Redis.from_url(running.urls["valkey"]) as client:
                assert client.ping()
        finally:
            shutil.rmtree(copy)


def short_copy_parent(original: Path) -> Path:
    copy = original.with_name(original.name + "-copy")
    copy.mkdir()
    copy.chmod(0o755)
    return copy
