"""What a Ray worker on any node needs before it imports our modules."""

from __future__ import annotations

import os
from pathlib import Path


def prepare() -> None:
    """Makes the directory that prometheus_client writes to: `up` makes it on its own node only."""
    directory = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if directory:
        Path(directory).mkdir(parents=True, exist_ok=True)
