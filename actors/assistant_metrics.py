"""Metrics of the Assistant."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0)

ANSWERS: Final = Counter(
    "serai_assistant_answers_total",
    "Answers: generated, extractive, not_found; failed, left (the asker went away)",
    ["mode"],
)
SECONDS: Final = Histogram(
    "serai_assistant_answer_seconds", "From a question to its answer", ["mode"], buckets=_SECONDS
)
RUNNING: Final = Gauge(
    "serai_assistant_questions_running",
    "Questions that are being answered",
    multiprocess_mode="livesum",
)
CACHE: Final = Counter(
    "serai_assistant_cache_total", "Looks into the cache of answers: hit, miss, away", ["result"]
)
RETRIEVAL_SECONDS: Final = Histogram(
    "serai_assistant_retrieval_seconds", "Until the passages were there", buckets=_SECONDS
)
FIRST_TOKEN_SECONDS: Final = Histogram(
    "serai_assistant_first_token_seconds",
    "From the question to the model's first token",
    buckets=_SECONDS,
)
UNVERIFIED: Final = Counter(
    "serai_assistant_verification_failures_total",
    "Generated sentences that were not shown, by what was wrong with them",
    ["reason"],
)
FALLBACKS: Final = Counter(
    "serai_assistant_fallbacks_total",
    "Answers in the sources' own words because the model failed: verification, not_found, or the"
    " code of its error",
    ["reason"],
)
FEEDBACK: Final = Counter("serai_assistant_feedback_total", "Feedback of members", ["verdict"])
