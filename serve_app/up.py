"""`python -m serve_app up`: brings everything up in order, stays in the foreground, takes all down.

Order: checks, embedded stores, schema and directory, Ray, deployments. Down in reverse. The stores
are children of this process and die with it; Ray's processes share its fate as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Collection
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout
from yarl import URL

from config.errors import AppError
from config.settings import Settings, unused
from serve_app.cluster import Cluster
from serve_app.control import ControlServer
from serve_app.doctor import diagnose
from serve_app.run_dir import RunDir, kept_secret
from serve_app.supervisor import Child, Supervisor
from storage.embedded.postgres import EmbeddedPostgres
from storage.embedded.valkey import EmbeddedValkey
from storage.incarnation import settle_epoch
from storage.migrate import migrate
from storage.seed import seed
from storage.streams import ensure_partitions

STARTER: Final = Path(__file__).resolve().parent.parent / "config" / "starter"
_READY_SECONDS: Final = 120.0
# A closed terminal (SIGHUP) is a clean stop as well.
_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_EVERY_ADDRESS: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


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
        await settle_epoch(connection)
        await ensure_partitions(connection, today, settings.streams.partitions_ahead_days)
        await seed(connection)
    finally:
        await connection.close()
    return f"{len(applied)} migrations applied" if applied else "schema is up to date"


def ready_urls(host: str, port: int, nodes: Collection[str]) -> list[URL]:
    """Where to ask gateways on these nodes whether they are ready; "" stands for this node."""
    here = _EVERY_ADDRESS.get(host)
    hosts = [host] if here is None else sorted(node or here for node in nodes)
    return [URL.build(scheme="http", host=each, port=port, path="/readyz") for each in hosts]


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
        self._run_dir: RunDir | None = None
        self._cluster: Cluster | None = None
        self._control: ControlServer | None = None

    async def run(self) -> int:
        """Until SIGINT or SIGTERM; the process's exit status. Ends the process itself where a call
        of Ray's would keep it from ending."""
        status = await self._run()
        if self._cluster is not None and self._cluster.stuck:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        return status

    async def _run(self) -> int:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in _STOP_SIGNALS:
            loop.add_signal_handler(number, stopping.set)
        starting = asyncio.create_task(self._start(loop, stopping))
        waiting = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait({starting, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                self._say("stopping before the start was complete")
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
        for name in unused(settings):
            self._say(f"{name} is set, but nothing uses it yet")
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
        self._run_dir = RunDir(self._data_dir)
        self._cluster = Cluster(self._data_dir, self._run_dir.path, os.environ.get("RAY_ADDRESS"))
        # Before the gateways answer: whoever sees them ready may ask for the processes.
        self._control = ControlServer(
            self._data_dir,
            self._run_dir.path,
            self._processes,
            partial(self._restart_gateways, settings),
        )
        await self._control.start()
        await self._cluster.start(settings, self._say)
        # Ray installs handlers of its own.
        for number in _STOP_SIGNALS:
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
                secret=settings.auth.secret or kept_secret(self._data_dir / "secret"),
            ),
        )

    async def _restart_gateways(self, settings: Settings) -> None:
        assert self._cluster is not None
        await self._cluster.restart_gateways(settings)

    def _processes(self) -> list[dict[str, Any]]:
        assert self._cluster is not None
        node = socket.gethostname()
        children = [{**entry, "node": node} for entry in self._supervisor.processes()]
        stores = {entry["pid"] for entry in self._supervisor.processes()}
        up = {"role": "up", "pid": os.getpid(), "node": node}
        return [up, *children, *self._cluster.processes(stores)]

    async def _wait_ready(self) -> None:
        """Until a gateway is ready, on whichever nodes Ray has placed them."""
        assert self._cluster is not None
        gateway = self._settings.gateway
        last = "no gateway"
        try:
            async with (
                asyncio.timeout(_READY_SECONDS),
                ClientSession(timeout=ClientTimeout(total=5)) as session,
            ):
                while True:
                    nodes = await self._cluster.gateway_nodes()
                    for url in ready_urls(gateway.host, gateway.port, nodes):
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
        url = URL.build(scheme="http", host=gateway.host, port=gateway.port)
        print(f"\nSerai is running: {url}", flush=True)
        print(f"The API and its page: {url / 'api/docs'}", file=sys.stderr, flush=True)
        print("Stop it with Ctrl-C.", file=sys.stderr, flush=True)

    async def _stop(self) -> None:
        """In reverse order; a part that fails to stop does not keep the others."""
        self._say("stopping")
        async with contextlib.AsyncExitStack() as stack:
            if self._run_dir is not None:
                stack.callback(self._run_dir.remove)
            stack.push_async_callback(self._supervisor.stop)
            if self._cluster is not None:
                stores = {entry["pid"] for entry in self._supervisor.processes()}
                stack.push_async_callback(self._cluster.stop, stores)
            if self._control is not None:
                stack.push_async_callback(self._control.stop)
        self._say("stopped")
