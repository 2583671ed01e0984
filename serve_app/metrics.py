"""Prometheus metrics of the HTTP side, and the text of /metrics.

With PROMETHEUS_MULTIPROC_DIR set (prometheus_client reads it at import) every process of the node
writes into that directory, and any gateway's /metrics adds them all up.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

HTTP_REQUESTS: Final = Counter(
    "serai_http_requests_total", "Answered requests", ["method", "route", "status"]
)
HTTP_SECONDS: Final = Histogram(
    "serai_http_request_seconds",
    "Time to an answer; pages from the edge cache are counted, not timed",
    ["method", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
HTTP_DEFECTS: Final = Counter(
    "serai_http_defects_total", "Requests that ended in an unexpected exception", ["route"]
)
EDGE_READS: Final = Counter(
    "serai_edge_cache_reads_total",
    "Reads of cacheable pages: hit, miss, joined (another read in flight), bypass (newer position),"
    " again (from the primary, since a replica had not replayed the last event)",
    ["result"],
)
EDGE_DROPPED: Final = Counter(
    "serai_edge_cache_dropped_total", "Entries dropped: event, access, expired, full", ["reason"]
)


async def exposition(accept: str) -> tuple[bytes, str]:
    """(text, content type) of all metrics; the files of many processes are read off the loop."""
    return await asyncio.to_thread(_exposition, accept)


def _exposition(accept: str) -> tuple[bytes, str]:
    registry: CollectorRegistry = CollectorRegistry()
    try:
        collector = MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    except ValueError:  # no multiprocess directory: this process is all there is to show
        registry = REGISTRY
    else:
        _forget_killed(Path(collector._path))
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type


def _forget_killed(directory: Path) -> None:
    """A killed process leaves its gauges behind, which would count its sockets for ever."""
    for file in directory.glob("gauge_live*_*.db"):
        pid = file.stem.rpartition("_")[2]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            file.unlink(missing_ok=True)
