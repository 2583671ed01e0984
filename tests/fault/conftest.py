"""A server of each module's own: its tests kill parts of it and leave it healthy."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.e2e.server import RunningServer
from tests.stores import short_directory

TWO_OF_EACH = {"SERAI_DEPLOYMENTS__GATEWAY__REPLICAS": "2", "SERAI_SHARDS__COUNT": "2"}


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    directory = short_directory()
    with RunningServer(directory / "data", TWO_OF_EACH) as running:
        yield running
    shutil.rmtree(directory)
