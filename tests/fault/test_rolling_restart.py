"""All gateways replaced one after the other under load: see steady_load.py for what must hold."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator

import pytest

from tests.e2e.server import RunningServer
from tests.fault.conftest import TWO_OF_EACH
from tests.fault.steady_load import AGAIN, SteadyLoad, steady_load
from tests.stores import short_directory

pytestmark = [pytest.mark.fault, pytest.mark.slow]

SHUTDOWN = 3001


async def _restart(server: RunningServer) -> None:
    """Returns when none of the gateways of before is left."""
    before = set(await asyncio.to_thread(server.pids, "gateway"))
    ended = await asyncio.to_thread(server.command, "restart-gateways")
    assert ended.returncode == 0, ended.stderr
    after = set(await asyncio.to_thread(server.pids, "gateway"))
    assert len(after) == len(before)
    assert not after & before


def _check_drained(load: SteadyLoad) -> None:
    """Every end of a connection was announced, and every request was answered or sent anew."""
    assert load.python.events.connecting[1:], "nobody was moved"
    assert set(load.python.events.connecting[1:]) == {SHUTDOWN}
    moved = [e["code"] for e in load.js.events if e["event"] == "connecting"][1:]
    assert set(moved) == {SHUTDOWN}
    answers = {int(name.split()[1]) for name in load.met if " " in name}
    assert answers <= {200, 201} | AGAIN, load.met


@pytest.fixture(params=["1", "2"])
def server_of(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    """With one gateway, and with two."""
    directory = short_directory()
    env = {
        **TWO_OF_EACH,
        "SERAI_DEPLOYMENTS__GATEWAY__REPLICAS": request.param,
        "SERAI_GATEWAY__DRAIN_SECONDS": "1",
    }
    with RunningServer(directory / "data", env) as running:
        yield running
    shutil.rmtree(directory)


async def test_gateways_one_after_the_other(server_of: RunningServer) -> None:
    """Also the only one: its successor serves before it stops accepting."""
    async with steady_load(server_of) as load:
        await _restart(server_of)
        await load.wait_more(40)
        _check_drained(load)
