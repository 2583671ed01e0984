"""Which addresses a checker of links may ask."""

from __future__ import annotations

import ipaddress

import pytest

from actors.links.addresses import Refused, Target, choose, is_public, target_of

PUBLIC = ipaddress.ip_address("93.184.215.14")
LOOPBACK = ipaddress.ip_address("127.0.0.1")
TARGET = Target("https", "example.org", 443, "/")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("0.0.0.0", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),  # the metadata of cloud machines
        ("100.64.0.1", False),
        ("192.0.2.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.215.14", True),
        ("::127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::5db8:d70e", True),
        ("2002:7f00:1::", False),
        ("2001:0:4136:e378:8000:63bf:80ff:fffe", False),  # Teredo of 127.0.0.1
    ],
)
def test_public_is_what_the_whole_internet_reaches(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/",
        "file:///etc/passwd",
        "gopher://example.org/",
        "https://user:secret@example.org/",
        "https://user@example.org/",
        "https:///path",
        "https://example.org:99999/",
        "https://exa mple.org/",
        "https://example.org/\r\nHost: other",
        "https://example.org/\0",
        "https://ex_ample.org/",
        "https://[::1",
        "//example.org/",
        "example.org",
        "https://example.org/" + "x" * 2_048,
    ],
)
def test_what_is_no_page_of_the_web_is_refused(url: str) -> None:
    with pytest.raises(Refused):
        target_of(url)


def test_the_parts_of_an_address() -> None:
    assert target_of("https://Example.org") == TARGET
    found = target_of("http://münchen.example:8080/für?q=ä b".replace(" ", "%20"))
    assert found == Target("http", "xn--mnchen-3ya.example", 8080, "/f%C3%BCr?q=%C3%A4%20b")
    assert found.host_header == "xn--mnchen-3ya.example:8080"
    assert target_of("https://[2606:2800::1]/").host_header == "[2606:2800::1]"
    assert target_of("https://example.org/a%2Fb?c=%2F#d").path == "/a%2Fb?c=%2F"


def test_one_private_address_is_enough_to_refuse() -> None:
    assert choose(TARGET, [PUBLIC], ()) == PUBLIC
    loopback = [ipaddress.ip_network("127.0.0.0/8")]
    assert choose(TARGET, [LOOPBACK], loopback) == LOOPBACK
    assert choose(TARGET, [PUBLIC, LOOPBACK], loopback) == PUBLIC
    for addresses, allowed in (
        ([], ()),
        ([LOOPBACK], ()),
        ([PUBLIC, LOOPBACK], ()),
        ([ipaddress.ip_address("10.0.0.1")], loopback),
    ):
        with pytest.raises(Refused):
            choose(TARGET, addresses, allowed)


def test_other_ports_only_where_a_network_is_allowed() -> None:
    odd = TARGET._replace(port=8443)
    with pytest.raises(Refused):
        choose(odd, [PUBLIC], ())
    assert choose(odd, [LOOPBACK], [ipaddress.ip_network("127.0.0.1/32")]) == LOOPBACK
