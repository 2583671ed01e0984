"""Serai on Ray nodes in namespaces: a head with the stores and `up`, and nodes that join it.

Each node has a private temporary folder of Ray's, as machines have. The embedded stores listen on
unix sockets, which every namespace of one machine reaches; between machines set
SERAI_POSTGRES__URL and SERAI_REDIS__URL to addresses that all nodes reach.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from benchmarks.machine import ROOT
from benchmarks.namespaces import Namespace

PORT: Final = 8000
_GCS_PORT: Final = 6379
_CPUS: Final = 8
ONE_GATEWAY_A_NODE: Final = {"SERAI_DEPLOYMENTS__GATEWAY__NUM_CPUS": str(_CPUS // 2 + 1)}
"""Environment. Ray may place two on one node else, when both start at the same moment."""
_START_SECONDS: Final = 180.0
_STOP_SECONDS: Final = 60.0
_RAY: Final = str(Path(sys.executable).parent / "ray")
_READY_LINE: Final = "Serai is running"


class ClusterError(Exception):
    """It does not start; the message holds the log."""


class NodesServer:
    """`nodes[0]` is the head. Everything blocks."""

    def __init__(
        self, nodes: Sequence[Namespace], folder: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.nodes = nodes
        self.data_dir = folder / "data"
        self._folder = folder
        self._ray_dir = folder / "ray"
        self._log = folder / "log"
        token = folder / "token"
        token.write_text(secrets.token_urlsafe(32))
        token.chmod(0o600)
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SERAI_", "RAY_"))
        }
        self._env = {
            **inherited,
            "RAY_ADDRESS": f"{nodes[0].address}:{_GCS_PORT}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",
            "PYTHONUNBUFFERED": "1",
            "SERAI_DATA_DIR": str(self.data_dir),
            "SERAI_GATEWAY__HOST": "0.0.0.0",
            "SERAI_GATEWAY__PORT": str(PORT),
            "SERAI_RATE_LIMIT__ENABLED": "false",
            **(env or {}),
        }

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def secret(self) -> str:
        return (self.data_dir / "secret").read_text().strip()

    def url(self, number: int) -> str:
        """Of the gateways of one node."""
        return f"http://{self.nodes[number].address}:{PORT}"

    def raylet(self, number: int) -> int:
        """Its pid."""
        for pid in self.nodes[number].pids():
            with suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text().strip() == "raylet":
                    return pid
        raise ClusterError(f"no raylet on node {number}:\n{self.log}")

    def pids(self, role: str) -> list[int]:
        """Of processes with this role on any node."""
        shown = subprocess.run(
            self.nodes[0].command(sys.executable, "-m", "serve_app", "processes"),
            env=self._env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        found: list[dict[str, Any]] = json.loads(shown.stdout)
        return [entry["pid"] for entry in found if entry["role"] == role]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Raises ClusterError where it does not start. What then still runs on the nodes is ended
        by the namespaces' end."""
        self.data_dir.mkdir()
        self.data_dir.chmod(0o755)
        self._ray_dir.mkdir()
        with self._log.open("ab") as output:
            for number, node in enumerate(self.nodes):
                node.start(*self._start_ray(number), env=self._env, output=output)
                if number == 0:
                    self._wait_port()
            server = self.nodes[0].start(
                sys.executable, "-m", "serve_app", "up",
                env=self._env, output=output, cwd=str(ROOT),
            )  # fmt: skip
        self._wait_ready(server)
        yield
        server.send_signal(signal.SIGTERM)
        server.wait(_STOP_SECONDS)

    def _start_ray(self, number: int) -> list[str]:
        options = [
            f"--node-ip-address={self.nodes[number].address}", f"--num-cpus={_CPUS}",
            "--object-store-memory=100000000", "--disable-usage-stats", "--block",
        ]  # fmt: skip
        if number == 0:
            return [
                _RAY, "start", "--head", f"--port={_GCS_PORT}", "--include-dashboard=false",
                f"--temp-dir={self._ray_dir}", *options,
            ]  # fmt: skip
        own = self._folder / f"ray-{number}"
        own.mkdir()
        # `ip netns exec` gives a mount namespace: the same path, another folder on each node.
        return [
            "sh", "-c", 'mount --bind "$0" "$1" && shift && exec "$@"', str(own),
            str(self._ray_dir), _RAY, "start", f"--address={self._env['RAY_ADDRESS']}", *options,
        ]  # fmt: skip

    def _wait_port(self) -> None:
        give_up = time.monotonic() + _START_SECONDS
        while True:
            with (
                suppress(OSError),
                socket.create_connection((self.nodes[0].address, _GCS_PORT), timeout=1),
            ):
                return
            if time.monotonic() > give_up:
                raise ClusterError(self.log)
            time.sleep(0.2)

    def _wait_ready(self, server: subprocess.Popen[bytes]) -> None:
        give_up = time.monotonic() + _START_SECONDS
        while _READY_LINE not in self.log:
            if server.poll() is not None or time.monotonic() > give_up:
                raise ClusterError(self.log)
            time.sleep(0.2)
