"""/metrics over the files of many processes, some of which were killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Imported by every gateway; each gauge counts something that dies with its process.
MODULES = ("serve_app.gateway.session", "serve_app.gateway.channel_hub", "actors.shard_hub")
SET = f"""
import importlib, os, signal
from prometheus_client import Gauge
for name in {MODULES!r}:
    for thing in vars(importlib.import_module(name)).values():
        if isinstance(thing, Gauge):
            thing.set(7)
if os.environ.get("DIE"):
    os.kill(os.getpid(), signal.SIGKILL)
from serve_app.metrics import _exposition
print(_exposition("")[0].decode())
"""


def _run(directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(directory), **environment}
    return subprocess.run(
        [sys.executable, "-c", SET],
        check=False,
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    "name",
    ["serai_realtime_sockets", "serai_realtime_channels", "serai_realtime_subscriptions",
     "serai_shard_active_channels", "serai_shard_gateways"],
)  # fmt: skip
def test_gauges_of_killed_processes_are_forgotten(shown: str, name: str) -> None:
    assert [line for line in shown.splitlines() if line.startswith(name)] == [f"{name} 7.0"]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a process shows whose predecessor was killed with the same numbers in its gauges."""
    directory = tmp_path_factory.mktemp("metrics")
    assert _run(directory, DIE="1").returncode == -9
    assert list(directory.glob("gauge_*.db"))
    survivor = _run(directory)
    assert survivor.returncode == 0, survivor.stderr
    return survivor.stdout
