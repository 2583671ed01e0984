"""A real S3 server (SeaweedFS) on loopback, without anything else of it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from config.media import Objects
from storage.embedded import launch
from storage.presigning import Bucket, presign

BUCKET: Final = "serai-test"
_KEYS: Final = ("tests-access-key", "the secret key of the tests")
_PORTS: Final = (
    *("master.port", "master.port.grpc", "volume.port", "volume.port.grpc"),
    *("filer.port", "filer.port.grpc", "s3.port", "s3.port.grpc", "admin.port", "admin.port.grpc"),
)
_READY_SECONDS: Final = 90.0


class S3ForTests:
    """Refuses, as S3 does, what is not signed with its keys."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="st-s3-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    def settings(self, prefix: str = "") -> Objects:
        return Objects(
            url=f"s3://{BUCKET}/{prefix}",
            endpoint=f"http://127.0.0.1:{self._port}",
            access_key_id=_KEYS[0],
            secret_access_key=_KEYS[1],
            allow_http=True,
        )

    @property
    def bucket(self) -> Bucket:
        return Bucket(f"http://127.0.0.1:{self._port}", BUCKET, "us-east-1", *_KEYS)

    def __enter__(self) -> Self:
        ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
        self._port = ports["s3.port"]
        weed = Path(sys.executable).with_name("weed")
        # It dies with us, even if we are killed.
        through = [sys.executable, "-I", "-S", launch.__file__, str(os.getpid())]
        options = {
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "dir": str(self._folder),
            "bucket": BUCKET,
            "master.telemetry": "false",
            "webdav": "false",
            "admin.ui": "false",
            "s3.port.iceberg": "0",
            "s3.port.lance": "0",
            **{name: str(port) for name, port in ports.items()},
        }
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(*through, str(int(signal.SIGKILL)), "-1", "-1", str(weed), "mini"),
                    *(f"-{name}={value}" for name, value in options.items()),
                ],
                cwd=self._folder,
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(self._folder),
                    "AWS_ACCESS_KEY_ID": _KEYS[0],
                    "AWS_SECRET_ACCESS_KEY": _KEYS[1],
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self._wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _wait_ready(self) -> None:
        """Until an object can be written: the bucket is there before its volumes are."""
        assert self._process is not None
        give_up_at = time.monotonic() + _READY_SECONDS
        while time.monotonic() < give_up_at and self._process.poll() is None:
            url = presign(self.bucket, "PUT", "ready", 60, datetime.now(UTC))
            request = urllib.request.Request(url, b"x", method="PUT")
            try:
                with urllib.request.urlopen(request, timeout=10):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise RuntimeError((self._folder / "log").read_text(errors="replace")[-3_000:])


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
