"""The real server as a child process: started, watched, killed by role, stopped without a trace."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from storage.embedded.postgres import running_postgres_url
from tests.e2e.process_tree import Process, kill_all, listeners_of, tree_of, wait_all_ended

ROOT: Final = Path(__file__).resolve().parents[2]
# Some ten times what an idle machine needs.
_START_SECONDS: Final = 240.0
_STOP_SECONDS: Final = 90.0
_READY_LINE: Final = "Serai is running"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RunningServer:
    """`python -m serve_app up` on a data directory. Leaving the context stops it and asserts a
    clean exit with no process left; after a failed test it only makes sure that nothing is left.

    `env` is added to the environment. Everything blocks: the server is another process.
    """

    def __init__(
        self, data_dir: Path, env: Mapping[str, str] | None = None, *, port: int | None = None
    ) -> None:
        self.data_dir = data_dir
        self.port = port or free_port()
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("SERAI_")
        }
        inherited.pop("RAY_ADDRESS", None)
        self.env = {
            **inherited,
            "SERAI_DATA_DIR": str(data_dir),
            "SERAI_GATEWAY__PORT": str(self.port),
            "PYTHONUNBUFFERED": "1",
            **(env or {}),
        }
        self._log = data_dir.parent / f"{data_dir.name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._directories: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/connection/websocket"

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def database_url(self) -> str:
        url = running_postgres_url(self.data_dir / "postgres")
        assert url is not None, "PostgreSQL does not run"
        return url

    @property
    def secret(self) -> str:
        """What access tokens are signed with."""
        return (self.data_dir / "secret").read_text().strip()

    # ------------------------------------------------------------ start, stop

    def start(self) -> Self:
        """Returns when the server says that it runs. Raises AssertionError with its log."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "serve_app", "up"],
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        before = self.log.count(_READY_LINE)
        deadline = time.monotonic() + _START_SECONDS
        try:
            while self.log.count(_READY_LINE) == before:
                assert self._process.poll() is None, f"the server ended:\n{self.log}"
                assert time.monotonic() < deadline, f"the server does not start:\n{self.log}"
                time.sleep(0.05)
        except BaseException:
            self.kill_tree()
            raise
        for record in (self.data_dir / "run_dir", *self.data_dir.glob("*/socket_dir")):
            self._directories.add(record.read_text().splitlines()[0])
        return self

    def stop(self, number: int = signal.SIGTERM, *, whole_group: bool = False) -> None:
        """Asserts exit status 0, that all processes ended and that nothing broke. `whole_group`:
        the signal goes to every process of the group, as Ctrl-C in a terminal does."""
        assert self._process is not None
        belonged = self.tree()
        assert self._process.poll() is None, f"the server had ended by itself:\n{self.log}"
        if whole_group:
            os.killpg(self.pid, number)
        else:
            os.kill(self.pid, number)
        try:
            status = self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill_tree()
            raise AssertionError(f"the server does not stop:\n{self.log}") from None
        try:
            assert status == 0, f"exit status {status}:\n{self.log}"
            wait_all_ended(belonged | self.tree())
            assert "Traceback" not in self.log, self.log
            assert not self.leftovers()
        finally:
            self.kill_tree()

    def leftovers(self) -> list[str]:
        """Run directories and socket directories of this server, and files that say it runs."""
        records = [self.data_dir / "run_dir", self.data_dir / "server.json"]
        records += self.data_dir.glob("*/socket_dir")
        found = [str(record) for record in records if record.exists()]
        return found + [name for name in self._directories if Path(name).exists()]

    def kill_tree(self) -> set[Process]:
        """SIGKILL to every process of the server; returns those that lived when all are gone."""
        assert self._process is not None
        victims = self.tree()
        kill_all(victims)
        self._process.wait(_STOP_SECONDS)
        wait_all_ended(victims)
        return victims

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.stop()
        else:
            self.kill_tree()

    # ------------------------------------------------------------ its processes

    def tree(self) -> set[Process]:
        """All living processes of this server, Ray's and the databases' included."""
        return tree_of(self.pid, f"SERAI_DATA_DIR={self.data_dir}".encode())

    def processes(self) -> list[dict[str, Any]]:
        """[{role, pid, node}], as `python -m serve_app processes` prints it."""
        record = json.loads((self.data_dir / "server.json").read_text())
        connection = _UnixConnection(record["control"])
        try:
            connection.request("GET", "/processes")
            found: list[dict[str, Any]] = json.loads(connection.getresponse().read())
            return found
        finally:
            connection.close()

    def pids(self, role: str) -> list[int]:
        """Those that live, oldest number first."""
        return sorted(entry["pid"] for entry in self.processes() if entry["role"] == role)

    def kill(self, role: str, number: int = signal.SIGKILL) -> int:
        """Sends the signal to one process of the role and returns its pid."""
        pids = self.pids(role)
        assert pids, f"no process of the role {role}: {self.processes()}"
        os.kill(pids[0], number)
        return pids[0]

    def gateway_urls(self) -> list[str]:
        """The private address of each gateway: what reaches exactly this one."""
        urls = []
        for pid in self.pids("gateway"):
            ports = sorted(
                listener.port
                for listener in listeners_of([pid])
                if listener.loopback and listener.port != self.port
            )
            urls += [f"http://127.0.0.1:{port}" for port in ports if _answers(port)]
        return urls

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`python -m serve_app ARGUMENTS` with this server's settings."""
        return subprocess.run(
            [sys.executable, "-m", "serve_app", *arguments],
            cwd=ROOT,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_START_SECONDS,
            check=False,
        )


def websocket_url(url: str) -> str:
    """Of a gateway's HTTP address."""
    return f"ws{url.removeprefix('http')}/connection/websocket"


def _answers(port: int) -> bool:
    """Whether HTTP is spoken there: Ray's own ports of the same process don't."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("control", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
