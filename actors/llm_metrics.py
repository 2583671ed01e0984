"""Prometheus metrics of the LLM deployment. The rate of errors is what OUTCOMES counts as neither
answered nor cancelled."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

OUTCOMES: Final = Counter(
    "serai_llm_streams_total",
    "Generations that ended: answered, cancelled (the reader went away), or by error code",
    ["outcome"],
)
WAITING: Final = Gauge(
    "serai_llm_waiting", "Generations that wait for their turn", multiprocess_mode="livesum"
)
RUNNING: Final = Gauge(
    "serai_llm_running", "Generations that engines work on", multiprocess_mode="livesum"
)
BREAKERS_OPEN: Final = Gauge(
    "serai_llm_breakers_open",
    "Replicas that don't ask their engine because it failed too often",
    multiprocess_mode="livesum",
)
FIRST_TOKEN_SECONDS: Final = Histogram(
    "serai_llm_first_token_seconds",
    "From the begin of a turn to the engine's first token",
    buckets=(0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
TOKEN_RATE: Final = Histogram(
    "serai_llm_tokens_per_second",
    "Tokens a second of each whole answer, the time to the first included",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200),
)
TOKENS: Final = Counter("serai_llm_tokens_total", "Tokens generated")
