"""Failures as HTTP answers."""

from __future__ import annotations

import pytest

from config.errors import HTTP_STATUS, AppError
from serve_app.api.errors import problem_response


@pytest.mark.parametrize("code", sorted(HTTP_STATUS))
def test_every_503_says_when_to_come_back(code: str) -> None:
    response = problem_response(AppError(code), "id")
    assert response.status == HTTP_STATUS[code]
    assert ("Retry-After" in response.headers) == (response.status == 503)


@pytest.mark.parametrize(("seconds", "told"), [(0.0, "1"), (0.2, "1"), (1.0, "1"), (2.5, "3")])
@pytest.mark.parametrize("code", ["unavailable", "rate_limited"])
def test_a_known_wait_is_told_in_whole_seconds(code: str, seconds: float, told: str) -> None:
    error = AppError(code, retry_after_seconds=seconds)
    assert problem_response(error, "id").headers["Retry-After"] == told
