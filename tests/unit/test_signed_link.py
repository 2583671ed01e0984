"""Links that open one thing for a while."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from actors.signed_link import is_good, signed_link

SECRET = "s" * 32


def test_a_link_opens_what_it_was_made_for_until_it_expires() -> None:
    link = urlsplit(signed_link(SECRET, "/files/1", 1_000))
    (signature,) = parse_qs(link.query)["signature"]
    assert is_good(SECRET, link.path, 1_000, signature, 999.9)
    assert not is_good(SECRET, link.path, 1_000, signature, 1_000.0)
    assert not is_good(SECRET, "/files/2", 1_000, signature, 0.0)
    assert not is_good(SECRET, link.path, 2_000, signature, 0.0)
    assert not is_good("t" * 32, link.path, 1_000, signature, 0.0)
    assert not is_good(SECRET, link.path, 1_000, signature[:-1], 0.0)
    assert not is_good(SECRET, link.path, 1_000, "ü", 0.0)
