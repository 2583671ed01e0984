"""Whom `up` asks whether the server is ready."""

from __future__ import annotations

import pytest

from serve_app.up import ready_urls


@pytest.mark.parametrize(
    ("host", "nodes", "asked"),
    [
        ("127.0.0.1", {""}, ["http://127.0.0.1:8000/readyz"]),
        ("0.0.0.0", {""}, ["http://127.0.0.1:8000/readyz"]),
        ("::", {""}, ["http://[::1]:8000/readyz"]),
        # Ray may have placed all of them elsewhere.
        ("0.0.0.0", {"10.0.0.2"}, ["http://10.0.0.2:8000/readyz"]),
        (
            "0.0.0.0",
            {"10.0.0.2", ""},
            ["http://10.0.0.2:8000/readyz", "http://127.0.0.1:8000/readyz"],
        ),
        # One address, whatever the node.
        ("10.0.0.9", {"10.0.0.2"}, ["http://10.0.0.9:8000/readyz"]),
        ("0.0.0.0", set(), []),
    ],
)
def test_gateways_are_asked_where_they_are(host: str, nodes: set[str], asked: list[str]) -> None:
    assert [str(url) for url in ready_urls(host, 8000, nodes)] == asked
