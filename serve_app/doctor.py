"""What would keep Serai from starting here, in plain words, each with its remedy.

Every check changes nothing that outlives it and can be called alone.
"""

from __future__ import annotations

import asyncio
import errno
import importlib.util
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from config.errors import AppError
from config.settings import Search
from serve_app.data_lock import lock_holder
from storage.embedded.endpoint import socket_parent
from storage.embedded.placement import package_directory, unprivileged_account
from storage.embedded.valkey import valkey_program
from storage.probes import probe_postgres, probe_redis

PYTHON_MINIMUM: Final = (3, 11)
POSTGRES_MINIMUM: Final = 16
# Functions (FUNCTION LOAD) exist since Redis 7.0.
REDIS_MINIMUM: Final = (7, 0)
USEFUL_EXTENSIONS: Final = ("vector",)
# What a start cannot do without; the lock file holds many more.
REQUIRED_PACKAGES: Final = (
    "ray", "aiohttp", "asyncpg", "redis", "msgspec", "argon2", "jwt", "nh3", "pyromark",
)  # fmt: skip
DISK_WARNING_BYTES: Final = 1 << 30
DISK_ERROR_BYTES: Final = 256 << 20

_GGUF: Final = b"GGUF"

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """`remedy` is empty when `level` is "ok"."""

    level: Level
    what: str
    remedy: str = ""


async def diagnose(
    *,
    host: str,
    port: int,
    data_dir: Path,
    postgres_url: str | None = None,
    redis_url: str | None = None,
    model: Path | None = None,
    search: Search | None = None,
) -> list[Finding]:
    """Runs all checks. A URL of None means the embedded server, whose needs are checked instead.
    `model`: the file that llama.cpp shall read, where one is named."""
    local = await asyncio.to_thread(
        _check_machine, host, port, data_dir, postgres_url is None, redis_url is None
    )
    return [
        *local,
        *([] if model is None else [check_model(model)]),
        *([] if postgres_url is None else await check_postgres(postgres_url)),
        *([] if redis_url is None else await check_redis(redis_url)),
        *([await check_search(search)] if search and search.meilisearch_url else []),
    ]


def _check_machine(
    host: str, port: int, data_dir: Path, embedded_postgres: bool, embedded_redis: bool
) -> list[Finding]:
    findings = [check_python(), check_packages(REQUIRED_PACKAGES)]
    if embedded_postgres:
        findings.append(check_embedded_postgres(data_dir))
    if embedded_redis:
        findings.append(check_embedded_valkey())
    if embedded_postgres or embedded_redis:
        findings.append(check_socket_path())
    return [
        *findings,
        check_port(host, port),
        check_lock(data_dir),
        check_writable(data_dir),
        check_disk(data_dir),
    ]


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    text = ".".join(map(str, version))
    if version[:2] >= PYTHON_MINIMUM:
        return Finding("ok", f"Python {text}")
    needed = ".".join(map(str, PYTHON_MINIMUM))
    return Finding(
        "error",
        f"Python {text} is too old: Serai needs {needed} or newer",
        f"install Python {needed} or newer, delete .venv and start again",
    )


def check_packages(names: Iterable[str]) -> Finding:
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if not missing:
        return Finding("ok", "all required packages are installed")
    return Finding(
        "error",
        f"missing Python packages: {', '.join(missing)}",
        "run `make run` once, it installs them, and use the Python of .venv",
    )


def check_embedded_postgres(data_dir: Path) -> Finding:
    try:
        program = package_directory() / "pginstall" / "bin" / "postgres"
        if os.geteuid() == 0:
            unprivileged_account(data_dir / "postgres" / "db")
    except AppError as error:
        return Finding(
            "error",
            f"the embedded PostgreSQL cannot run: {error.detail}",
            "install the requirements again, or name a server in SERAI_POSTGRES__URL",
        )
    return _executable(program, "embedded PostgreSQL")


def check_embedded_valkey() -> Finding:
    try:
        program = valkey_program()
    except AppError as error:
        return Finding(
            "error",
            f"the embedded Valkey cannot run: {error.detail}",
            "install the requirements again, or name a server in SERAI_REDIS__URL",
        )
    return _executable(program, "embedded Valkey")


def _executable(program: Path, name: str) -> Finding:
    if os.access(program, os.X_OK):
        return Finding("ok", f"the {name} is installed")
    return Finding(
        "error",
        f"the {name} cannot be executed: {program}",
        "install the requirements again into a folder on a disk that allows programs (no noexec)",
    )


def check_model(file: Path) -> Finding:
    """No error: on a cluster it lies where the model runs, and without it there are extracts."""
    try:
        with file.open("rb") as opened:
            if opened.read(len(_GGUF)) == _GGUF:
                return Finding("ok", f"the model {file.name} is here")
        what = f"{file} is no GGUF file"
    except OSError as error:
        what = f"the model {file} can't be read here: {error.strerror}"
    return Finding("warning", what, "correct SERAI_LLM__MODEL, or leave it out")


def check_socket_path() -> Finding:
    try:
        folder = socket_parent(None)
    except AppError as error:
        return Finding("error", error.detail, "set TMPDIR to a short, writable folder such as /tmp")
    return Finding("ok", f"unix sockets fit below {folder}")


def check_port(host: str, port: int) -> Finding:
    """Binds without SO_REUSEPORT: with it, a port that another server shares looks free."""
    change = "choose another port with SERAI_GATEWAY__PORT"
    try:
        if not 1 <= port <= 65535:  # getaddrinfo would cut it to 16 bits
            raise OverflowError(port)
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, OverflowError, UnicodeError):
        return Finding(
            "error",
            f"{host}:{port} is not an address to listen on",
            "correct SERAI_GATEWAY__HOST and SERAI_GATEWAY__PORT (1 to 65535)",
        )
    for family, kind, protocol, _, address in addresses:
        with socket.socket(family, kind, protocol) as probe:
            # Else a port that was free a minute ago still looks taken (TIME_WAIT).
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
                probe.listen(1)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    what = f"port {port} on {host} is taken by another program"
                    return Finding("error", what, f"stop that program, or {change}")
                if error.errno == errno.EACCES:
                    what = f"this user may not listen on port {port}"
                    return Finding("error", what, f"{change} (1024 or above)")
                return Finding(
                    "error",
                    f"cannot listen on {host}: {error.strerror}",
                    "set SERAI_GATEWAY__HOST to an address of this machine, such as 127.0.0.1",
                )
    return Finding("ok", f"port {port} on {host} is free")


def check_lock(data_dir: Path) -> Finding:
    holder = lock_holder(data_dir)
    if holder is None:
        return Finding("ok", f"no other server uses {data_dir}")
    who = f"process {holder}" if holder else "another process"
    return Finding(
        "error",
        f"{who} already runs Serai on {data_dir}",
        "stop it first (Ctrl-C there, or kill -TERM), or choose another SERAI_DATA_DIR",
    )


def check_writable(data_dir: Path) -> Finding:
    """Writes and removes a small file in the directory, or in what would become its parent."""
    folder = _existing(data_dir)
    remedy = "correct its owner and permissions, or choose another SERAI_DATA_DIR"
    if not folder.is_dir():
        return Finding(
            "error", f"{folder} is a file, not a folder", "choose another SERAI_DATA_DIR"
        )
    try:
        with tempfile.TemporaryFile(dir=folder, prefix=".doctor-") as probe:
            probe.write(b"serai")
            probe.flush()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return Finding("error", f"no space left for {data_dir}", "free some disk space")
        return Finding("error", f"{folder} is not writable: {error.strerror}", remedy)
    return Finding("ok", f"{data_dir} is writable")


def check_disk(data_dir: Path, free_bytes: int | None = None) -> Finding:
    """`free_bytes` replaces the measurement (tests)."""
    if free_bytes is None:
        try:
            free_bytes = shutil.disk_usage(_existing(data_dir)).free
        except OSError as error:
            return Finding(
                "error", f"cannot look at the disk of {data_dir}: {error.strerror}", "check it"
            )
    text = f"{free_bytes / (1 << 30):.1f} GiB free for {data_dir}"
    if free_bytes >= DISK_WARNING_BYTES:
        return Finding("ok", text)
    return Finding(
        "error" if free_bytes < DISK_ERROR_BYTES else "warning",
        f"the disk is nearly full: {text}",
        "free some space, or choose a SERAI_DATA_DIR on another disk",
    )


def _existing(path: Path) -> Path:
    """`path` or its nearest parent that exists. Ends at the root."""
    path = path.absolute()
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    return path


async def check_postgres(url: str) -> list[Finding]:
    where = f"Postgres at {_location(url)}"
    try:
        facts = await probe_postgres(url)
    except AppError as error:
        return [
            Finding(
                "error",
                f"{where} is not reachable: {error.detail}",
                "start it, correct SERAI_POSTGRES__URL, or leave it empty for the embedded server",
            )
        ]
    findings: list[Finding] = []
    if facts.version < POSTGRES_MINIMUM:
        what = f"{where} is version {facts.text}: Serai needs {POSTGRES_MINIMUM} or newer"
        findings.append(Finding("error", what, "upgrade that server"))
    missing = [name for name in USEFUL_EXTENSIONS if name not in facts.extensions]
    if missing:
        what = f"{where} lacks {', '.join(missing)}: search by meaning will need it"
        findings.append(Finding("warning", what, "install the package pgvector on that server"))
    if not facts.writable:
        remedy = "name the primary in SERAI_POSTGRES__URL"
        findings.append(Finding("error", f"{where} is a read-only standby", remedy))
    return findings or [Finding("ok", f"{where}: version {facts.text}")]


async def check_search(settings: Search) -> Finding:
    """Of Meilisearch. Without it Serai starts, and searches say that they can't be answered."""
    from storage.search.meilisearch_engine import MeilisearchEngine

    where = f"Meilisearch at {_location(settings.meilisearch_url)}"
    engine = MeilisearchEngine(
        settings.meilisearch_url, settings.meilisearch_key, by_country=settings.index_by_country
    )
    try:
        await engine.has(0)
    except AppError:
        return Finding(
            "warning",
            f"{where} does not answer, or refuses the key",
            "start it, correct SERAI_SEARCH__MEILISEARCH_URL and …_KEY, or leave the URL empty for"
            " the embedded engine",
        )
    return Finding("ok", where)


async def check_redis(url: str) -> list[Finding]:
    where = f"Redis at {_location(url)}"
    try:
        facts = await probe_redis(url)
    except AppError as error:
        return [
            Finding(
                "error",
                f"{where} is not reachable: {error.detail}",
                "start it, correct SERAI_REDIS__URL, or leave it empty for the embedded server",
            )
        ]
    text = ".".join(map(str, facts.version))
    if facts.version < REDIS_MINIMUM:
        needed = ".".join(map(str, REDIS_MINIMUM))
        what = f"{where} is version {text}: Serai needs {needed} or newer"
        return [Finding("error", what, "upgrade that server")]
    if not facts.writable:
        remedy = "name the primary in SERAI_REDIS__URL"
        return [Finding("error", f"{where} is a read-only replica", remedy)]
    return [Finding("ok", f"{where}: version {text}")]


def _location(url: str) -> str:
    """Without user, password and options."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "the given URL"
    return f"{parts.hostname or 'a local socket'}{port}{parts.path}"
