"""Ray and the deployments as seen by `up`: started in steps, stopped within bounds.

Ray's and Serve's calls block and can't be cancelled. They run in one thread, one after the other:
a stop that comes during the start waits for the step in hand and never runs beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

from config.errors import AppError
from config.settings import Settings
from serve_app.process_tree import descendants, role_of
from serve_app.run_dir import kept_secret

_log = logging.getLogger(__name__)

STOP_SECONDS: Final = 12.0
"""Beside the draining of gateways; what is left after both is killed."""


class Cluster:
    def __init__(self, data_dir: Path, run_dir: Path, address: str | None) -> None:
        """`address`: of an existing cluster; None starts one of our own."""
        self._data_dir = data_dir
        self._run_dir = run_dir
        self._address = address
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ray")
        self._stopping = False
        self._joined = False
        self._drain_seconds = 0.0
        self.stuck = False
        """A call of Ray's hangs for good, in a thread that Python waits for when it exits."""

    async def start(self, settings: Settings, say: Callable[[str], None]) -> None:
        """Returns when every replica runs, having said each step. Raises AppError where one can't
        start."""
        metrics = self._run_dir / "metrics"
        metrics.mkdir()
        # Ray takes these from the environment alone, and reads them when it is imported.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        if self._address is None:
            token = self._data_dir / "ray_token"
            kept_secret(token)
            os.environ["RAY_AUTH_MODE"] = "token"
            os.environ["RAY_AUTH_TOKEN_PATH"] = str(token)
            # ray.init replaces 127.0.0.1 by the machine's address, unless clusters are ruled out
            # as they are on other systems; only then do Ray's servers bind to loopback.
            os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
            # Ray runs workers at nice 15, so that batch work yields to its own daemons; ours answer
            # people, and every other program on the machine went first.
            os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._start, settings, metrics, say)

    async def restart_gateways(self, settings: Settings) -> None:
        """Returns when each has been drained and replaced, one after the other; a restart that is
        under way is waited for first. Raises AppError where a new one does not start."""
        if self._stopping:
            raise AppError("unavailable", "The server is stopping.")
        from serve_app import app

        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, app.restart_gateways, settings)

    def _start(self, settings: Settings, metrics: Path, say: Callable[[str], None]) -> None:
        from ray.exceptions import RayError

        from serve_app import app

        self._drain_seconds = app.gateway_shutdown_seconds(settings)
        steps: tuple[tuple[str, Callable[[], None]], ...] = (
            ("Ray", partial(app.start_ray, self._run_dir / "ray", self._address, metrics)),
            ("shards and deployments", partial(app.start_backends, settings)),
            ("gateways", partial(app.start_gateways, settings)),
        )
        for name, step in steps:
            if self._stopping:
                return
            say(f"starting {name}")
            self._joined = True
            try:
                step()
            except (RuntimeError, ConnectionError, TimeoutError, RayError) as error:
                raise AppError("unavailable", f"Ray does not start: {error}") from error
            except Exception as error:
                if type(error) is not Exception:  # what ray.init raises when it is too late
                    raise
                raise AppError("unavailable", f"Ray does not start: {error}") from error

    async def gateway_nodes(self) -> set[str]:
        """Addresses of the nodes with a gateway; "" stands for this one."""
        from serve_app import app

        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, app.gateway_nodes)

    def processes(self, spared: set[int]) -> list[dict[str, Any]]:
        """Role, pid and node of actors anywhere, and of Ray's own processes on this machine; the
        process trees in `spared` are somebody else's."""
        if not self._joined or self._stopping:
            return []
        from serve_app import app

        actors = app.processes()
        known = {entry["pid"] for entry in actors}
        own = [
            {"role": role_of(pid), "pid": pid, "node": app.node_name()}
            for pid in descendants(os.getpid(), without=spared)
            if pid not in known
        ]
        return [*actors, *own]

    async def stop(self, spared: set[int]) -> None:
        """Drains the gateways, then stops the rest. Whatever has not ended in time is killed, but
        for the process trees in `spared`."""
        self._stopping = True
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(STOP_SECONDS + self._drain_seconds):
                await loop.run_in_executor(self._thread, self._stop)
        except TimeoutError:
            self.stuck = True
            _log.error("Ray did not stop in time and is killed")
        except Exception as error:  # what was signalled with us may be gone before us
            name = type(error).__name__
            _log.error("Ray did not stop cleanly (%s): the rest is killed", name)
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._joined and self._address is None:
            for pid in descendants(os.getpid(), without=spared):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue

    def _stop(self) -> None:
        if self._joined:
            from serve_app import app

            # Serve kills its controller while it still answers, and Ray prints that as a failure:
            # nothing that a person who has pressed Ctrl-C should read. Our log has its own stream.
            nowhere = io.StringIO()
            with contextlib.redirect_stderr(nowhere), contextlib.redirect_stdout(nowhere):
                app.stop(shared_cluster=self._address is not None)
