"""A server of each module's own: its tests kill parts of it and leave it healthy."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.e2e.server import RunningServer
from tests.stores import short_directory

TWO_OF_EACH = {"SERAI_DEPLOYMENTS__GATEWAY__REPLICAS": "2", "SERAI_SHARDS__COUNT": "2"}

# The model that comes along is asked, and no answer is kept. It holds a question with a source or
# two; to sum up a thread of a load is too much for it, and refused before it takes anybody's time.
TRUSTED = {
    "SERAI_LLM__TRUSTED": "true",
    "SERAI_LLM__CONTEXT_TOKENS": "512",
    "SERAI_LLM__MAX_TOKENS": "64",
    "SERAI_ASSISTANT__CACHE_SECONDS": "0",
    "SERAI_ASSISTANT__NOT_FOUND_SECONDS": "0",
}


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    directory = short_directory()
    with RunningServer(directory / "data", TWO_OF_EACH | TRUSTED) as running:
        yield running
    shutil.rmtree(directory)
