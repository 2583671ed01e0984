"""How many connections a gateway holds, in all and of one address."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from typing import Any

import pytest

from config.edge import Realtime
from config.errors import AppError
from config.rate_limits import RateLimitSettings
from serve_app.gateway.capacity import Capacity, affordable_sockets

ADDRESS = "203.0.113.7"


def capacity(rate_limit: RateLimitSettings | None = None, **limits: Any) -> Capacity:
    return Capacity(Realtime(**limits), rate_limit or RateLimitSettings())


def refusal(limited: Capacity, address: str) -> AppError:
    with pytest.raises(AppError) as refused, limited.hold(address):
        pass
    return refused.value


def test_a_full_gateway_refuses_until_one_has_left() -> None:
    full = capacity(max_sockets=2)
    with ExitStack() as others:
        others.enter_context(full.hold("203.0.113.1"))
        with full.hold("203.0.113.2"):
            error = refusal(full, "203.0.113.3")
            assert (error.code, error.status) == ("overloaded", 503)
            assert error.retry_after_seconds is not None and 1 <= error.retry_after_seconds <= 10
        with full.hold("203.0.113.3"):
            pass
    assert full.statistics() == {"connections_held": 0, "connections_most": 2}
    assert full._of_address == {}


def test_an_address_has_its_part_and_others_go_on() -> None:
    limited = capacity(max_sockets=100, max_sockets_per_address=2)
    with limited.hold(ADDRESS), limited.hold(ADDRESS):
        error = refusal(limited, ADDRESS)
        assert (error.code, error.status) == ("rate_limited", 429)
        assert error.retry_after_seconds is not None
        with limited.hold("203.0.113.8"):
            pass
    with limited.hold(ADDRESS):
        pass


def test_ipv6_counts_by_its_network() -> None:
    limited = capacity(max_sockets=100, max_sockets_per_address=1)
    with limited.hold("2001:db8::1"):
        assert refusal(limited, "2001:db8::2").code == "rate_limited"
        with limited.hold("2001:db8:0:1::1"):
            pass


def test_loopback_is_exempt_where_the_rate_limiter_exempts_it() -> None:
    limited = capacity(max_sockets=100, max_sockets_per_address=1)
    with limited.hold("127.0.0.1"):
        assert refusal(limited, "::1").code == "rate_limited"
    exempt = capacity(
        RateLimitSettings(exempt_loopback=True), max_sockets=10_000, max_sockets_per_address=1
    )
    with ExitStack() as held:
        for _ in range(5_000):
            held.enter_context(exempt.hold("127.0.0.1"))
        held.enter_context(exempt.hold(ADDRESS))
        assert refusal(exempt, ADDRESS).code == "rate_limited"


@pytest.mark.parametrize(
    "free",
    [
        capacity(RateLimitSettings(enabled=False), max_sockets=9, max_sockets_per_address=1),
        capacity(max_sockets=9, max_sockets_per_address=0),
    ],
)
def test_no_bound_of_addresses(free: Capacity) -> None:
    with ExitStack() as held:
        for _ in range(9):
            held.enter_context(free.hold(ADDRESS))
        assert refusal(free, ADDRESS).code == "overloaded"


def test_without_a_setting_the_descriptors_decide(caplog: pytest.LogCaptureFixture) -> None:
    derived = capacity()
    derived.start()
    affordable = affordable_sockets()
    assert derived.statistics()["connections_most"] == affordable
    asked = capacity(max_sockets=1_000_000)
    asked.start()
    assert asked.statistics()["connections_most"] == 1_000_000
    assert "the limit of descriptors" in caplog.text


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    program = (
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (700, 2500))\n"
        "from serve_app.gateway.capacity import affordable_sockets\n"
        "print(affordable_sockets(), *resource.getrlimit(resource.RLIMIT_NOFILE))\n"
    )
    made = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert made.stdout.split() == ["1000", "2500", "2500"]
