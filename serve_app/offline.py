"""The database for commands that run beside the server or without it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from config.settings import Settings
from serve_app.supervisor import Supervisor
from storage.embedded.postgres import EmbeddedPostgres, running_postgres_url


@asynccontextmanager
async def database(settings: Settings, data_dir: Path) -> AsyncIterator[str]:
    """The configured database; else the embedded one of `data_dir`, started for as long as needed
    unless a server runs on it already. Raises AppError when the directory is locked but silent."""
    url = settings.postgres.url or running_postgres_url(data_dir / "postgres")
    if url:
        yield url
        return
    supervisor = Supervisor(data_dir, [EmbeddedPostgres(data_dir / "postgres")])
    urls = await supervisor.start()
    try:
        yield urls["postgres"]
    finally:
        await supervisor.stop()
