"""Fixtures of all tests. The stores start when a test first asks for one: unit tests never do."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.stores import PostgresForTests

# Only where `make test-vllm` has installed it.
collect_ignore = [] if find_spec("vllm") else ["vllm"]

# No test is judged by the clock: on a busy machine any example may take long.
settings.register_profile("serai", deadline=None)
settings.load_profile("serai")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresForTests]:
    from tests.stores import PostgresForTests

    with PostgresForTests() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url(postgres_server: PostgresForTests) -> str:
    """A database of the session's server without our schema."""
    return postgres_server.url


@pytest.fixture
def database_url(postgres_server: PostgresForTests) -> Iterator[str]:
    """This test's own database with the newest schema; dropped, clients cut off, afterwards."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    from tests.stores import ValkeyForTests

    with ValkeyForTests() as server:
        yield server.url


@pytest.fixture
def redis_url(valkey_url: str) -> str:
    """The session's Valkey, emptied."""
    import redis

    with redis.Redis.from_url(valkey_url) as client:
        client.flushall()
    return valkey_url


@pytest.fixture(scope="session")
def redis_cluster_url() -> Iterator[str]:
    """Three nodes; tests use keys of their own."""
    from tests.redis_cluster import RedisClusterForTests

    with RedisClusterForTests() as cluster:
        yield cluster.url


@pytest.fixture
def short_directory() -> Iterator[Path]:
    """A folder with a short path that every user may enter, removed afterwards."""
    from tests.stores import short_directory as make

    directory = make()
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def initialised_postgres() -> Iterator[Path]:
    from tests.stores import make_initialised_postgres
    from tests.stores import short_directory as make

    directory = make()
    make_initialised_postgres(directory / "postgres")
    yield directory / "postgres"
    shutil.rmtree(directory)


@pytest.fixture
def postgres_data_dir(initialised_postgres: Path, short_directory: Path) -> Path:
    """A data directory as a first start leaves it: quicker than that start."""
    from tests.stores import copy_with_owners

    return copy_with_owners(initialised_postgres, short_directory / "postgres")
