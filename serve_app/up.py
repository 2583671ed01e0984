"""`python -m serve_app up`: brings everything up in order, stays in the foreground, takes all down.

Order: checks, embedded stores, schema and directory, Ray, deployments. Down in reverse. The stores
are children of this process and die with it; Ray's processes share its fate as well.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout

from config.errors import AppError
from config.settings import Settings
from serve_app.control import ControlServer
from serve_app.doctor import diagnose
from serve_app.supervisor import Child, Supervisor
from storage.embedded.endpoint import socket_parent
from storage.embedded.postgres import EmbeddedPostgres
from storage.embedded.valkey import EmbeddedValkey
from storage.migrate import migrate
from storage.seed import seed
from storage.streams import ensure_partitions

STARTER: Final = Path(__file__).resolve().parent.parent / "config" / "starter"
_READY_SECONDS: Final = 60.0
_RUN_PREFIX: Final = "serai-run-"
_RUN_RECORD: Final = "run_dir"


class Progress:
    """One line a step on stderr, with the seconds since the start."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, text: str) -> None:
        print(f"  {time.monotonic() - self._began:5.1f} s  {text}", file=sys.stderr, flush=True)


async def prepare_database(url: str, settings: Settings) -> str:
    """Schema, stream partitions, reference directory; what changed, in words."""
    applied = await migrate(url)
    connection = await asyncpg.connect(url)
    try:
        today = datetime.now(UTC).date()
        await ensure_partitions(connection, today, settings.streams.partitions_ahead_days)
        await seed(connection)
    finally:
        await connection.close()
    return f"{len(applied)} migrations applied" if applied else "schema is up to date"


class Server:
    """Everything that `up` starts, and how it ends."""

    def __init__(self, settings: Settings, *, demo: bool = False) -> None:
        self._settings = settings
        self._data_dir = Path(settings.data_dir).resolve()
        self._demo = demo
        self._say = Progress()
        children: list[Child] = []
        if not settings.postgres.url:
            children.append(EmbeddedPostgres(self._data_dir / "postgres"))
        if not settings.redis.url:
            children.append(EmbeddedValkey(self._data_dir / "valkey"))
        self._supervisor = Supervisor(self._data_dir, children)
        self._run_dir: Path | None = None
        self._control: ControlServer | None = None
        self._ray_started = False

    async def run(self) -> int:
        """Until SIGINT or SIGTERM; the process's exit status."""
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopping.set)
        starting = asyncio.create_task(self._start(loop, stopping))
        waiting = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait({starting, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                self._say("stopping before the start was complete")
                # Ray's calls run in a thread that can't be cancelled: let the step end.
                starting.cancel()
            await starting
            self._announce()
            await waiting
            return 0
        except asyncio.CancelledError:
            return 0
        except AppError as error:
            print(f"Serai can't start: {error.detail or error}", file=sys.stderr)
            return 1
        finally:
            waiting.cancel()
            await self._stop()

    async def _start(self, loop: asyncio.AbstractEventLoop, stopping: asyncio.Event) -> None:
        settings = self._settings
        await self._check()
        self._say("starting PostgreSQL and Valkey")
        urls = await self._supervisor.start()
        settings = self._resolved(urls)
        url = settings.postgres.url
        self._say(await prepare_database(url, settings))
        if self._demo:
            from serve_app.importing import import_dump

            self._say("importing the starter content")
            summary = await import_dump(STARTER, url)
            self._say(str(summary))
        self._say("starting Ray and the deployments")
        await self._start_ray(settings)
        # Ray installs handlers of its own.
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopping.set)
        await self._wait_ready()

    async def _check(self) -> None:
        settings = self._settings
        findings = await diagnose(
            host=settings.gateway.host,
            port=settings.gateway.port,
            data_dir=self._data_dir,
            postgres_url=settings.postgres.url or None,
            redis_url=settings.redis.url or None,
        )
        errors = [finding for finding in findings if finding.level == "error"]
        if errors:
            lines = [f"{finding.what} ({finding.remedy})" for finding in errors]
            raise AppError("unavailable", "\n  ".join(lines))

    def _resolved(self, urls: dict[str, str]) -> Settings:
        """The settings as every process gets them: with the embedded servers' URLs and a secret."""
        settings = self._settings
        return msgspec.structs.replace(
            settings,
            data_dir=str(self._data_dir),
            postgres=msgspec.structs.replace(
                settings.postgres, url=settings.postgres.url or urls["postgres"]
            ),
            redis=msgspec.structs.replace(settings.redis, url=settings.redis.url or urls["valkey"]),
            auth=msgspec.structs.replace(
                settings.auth,
                secret=settings.auth.secret or _kept_secret(self._data_dir / "secret"),
            ),
        )

    async def _start_ray(self, settings: Settings) -> None:
        # Ray's sockets need a short path as well, and its logs are no data.
        self._run_dir = _new_run_dir(self._data_dir / _RUN_RECORD, self._data_dir)
        metrics = self._run_dir / "metrics"
        metrics.mkdir()
        token = self._data_dir / "ray_token"
        _kept_secret(token)
        # Before ray is imported: it reads its way of authenticating then.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN_PATH", str(token))
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        if "RAY_ADDRESS" not in os.environ:
            # ray.init replaces 127.0.0.1 by the machine's address, unless clusters are ruled out
            # as they are on other systems; only then do Ray's servers bind to loopback.
            os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        from serve_app import app

        env = {"PROMETHEUS_MULTIPROC_DIR": str(metrics), "PYTHONPATH": str(app.ROOT)}
        self._ray_started = True
        await asyncio.to_thread(
            app.start_ray, self._run_dir / "ray", os.environ.get("RAY_ADDRESS"), env
        )
        await asyncio.to_thread(app.start_deployments, settings)
        self._control = ControlServer(self._data_dir, self._run_dir, self._processes)
        await self._control.start()

    def _processes(self) -> list[dict[str, Any]]:
        from serve_app import app

        node = socket.gethostname()
        children = [{**entry, "node": node} for entry in self._supervisor.processes()]
        return [{"role": "up", "pid": os.getpid(), "node": node}, *children, *app.processes()]

    async def _wait_ready(self) -> None:
        gateway = self._settings.gateway
        host = "127.0.0.1" if gateway.host in ("0.0.0.0", "") else gateway.host
        url = f"http://{host}:{gateway.port}/readyz"
        last = "no answer"
        try:
            async with (
                asyncio.timeout(_READY_SECONDS),
                ClientSession(timeout=ClientTimeout(total=5)) as session,
            ):
                while True:
                    try:
                        async with session.get(url) as response:
                            if response.status == 200:
                                return
                            last = await response.text()
                    except (ClientError, TimeoutError) as error:
                        last = str(error)
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AppError("unavailable", f"The gateway did not become ready: {last}") from None

    def _announce(self) -> None:
        gateway = self._settings.gateway
        self._say("ready")
        print(f"\nSerai is running: http://{gateway.host}:{gateway.port}", flush=True)
        print("Stop it with Ctrl-C.", file=sys.stderr, flush=True)

    async def _stop(self) -> None:
        self._say("stopping")
        if self._control is not None:
            await self._control.stop()
        if self._ray_started:
            from serve_app import app

            await asyncio.to_thread(app.stop_deployments)
        await self._supervisor.stop()
        if self._run_dir is not None:
            shutil.rmtree(self._run_dir, ignore_errors=True)
            (self._data_dir / _RUN_RECORD).unlink(missing_ok=True)
        self._say("stopped")


def _new_run_dir(record: Path, data_dir: Path) -> Path:
    """A short private directory for this run; removes the one that a killed run left behind.

    Call it with the data directory's lock held. A copied data directory names the original's run,
    which may still be going on: that one stays.
    """
    try:
        previous, owner = record.read_text().splitlines()
    except (OSError, ValueError):
        pass
    else:
        if Path(owner) == data_dir and Path(previous).name.startswith(_RUN_PREFIX):
            shutil.rmtree(previous, ignore_errors=True)
    run_dir = Path(tempfile.mkdtemp(prefix=_RUN_PREFIX, dir=socket_parent(None)))
    record.write_text(f"{run_dir}\n{data_dir}\n")
    return run_dir


def _kept_secret(path: Path) -> str:
    """The random secret of this data directory, made at the first start; readable by its owner."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        secret = secrets.token_urlsafe(48)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secret)
        return secret
