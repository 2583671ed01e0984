"""One bucket, by hand: figures small enough to check in one's head."""

from __future__ import annotations

import msgspec
import pytest

from actors.token_bucket import available, decide, fill_ns, grant, interval_ns
from config.rate_limits import RateLimitSettings, Rule

SECOND = 1_000_000_000
# One token a second, five at once.
RULE = Rule(per_minute=60, burst=5)
NOW = 1_000 * SECOND


def test_an_unknown_bucket_is_full() -> None:
    assert available(0, NOW, RULE) == 5


def test_a_burst_is_granted_and_the_next_request_waits_for_one_token() -> None:
    tat = 0
    for left in (4, 3, 2, 1, 0):
        decision, tat = decide(tat, NOW, RULE)
        assert (decision.granted, decision.remaining) == (1, left)
    refused, after = decide(tat, NOW, RULE)
    assert refused.granted == 0
    assert refused.retry_after_ns == SECOND
    assert refused.reset_after_ns == 5 * SECOND
    assert after == tat
    assert decide(tat, NOW + SECOND - 1, RULE)[0].granted == 0
    assert decide(tat, NOW + SECOND, RULE)[0].granted == 1


def test_several_tokens_are_taken_together_or_not_at_all() -> None:
    decision, tat = decide(0, NOW, RULE, 4)
    assert (decision.granted, decision.remaining) == (4, 1)
    refused, after = decide(tat, NOW, RULE, 3)
    assert (refused.granted, refused.remaining) == (0, 1)
    assert refused.retry_after_ns == 2 * SECOND
    assert after == tat


def test_grant_gives_what_is_there() -> None:
    decision, tat = grant(0, NOW, RULE, 100)
    assert (decision.granted, decision.remaining) == (5, 0)
    refused, _ = grant(tat, NOW, RULE, 100)
    assert (refused.granted, refused.retry_after_ns) == (0, SECOND)


@pytest.mark.parametrize("n", [0, -1, 6])
def test_a_number_that_can_never_be_granted_is_a_defect(n: int) -> None:
    with pytest.raises(ValueError, match="can never be taken"):
        decide(0, NOW, RULE, n)


def test_a_clock_set_back_empties_the_bucket_but_does_not_lock_it() -> None:
    _, tat = decide(0, NOW, RULE)
    earlier = NOW - 3_600 * SECOND
    refused, tat = decide(tat, earlier, RULE)
    assert refused.retry_after_ns == SECOND
    assert decide(tat, earlier + SECOND, RULE)[0].granted == 1


def test_an_uneven_rate_is_rounded_to_the_slower_side() -> None:
    rule = Rule(per_minute=7, burst=3)
    assert interval_ns(rule) * 7 >= 60 * SECOND
    assert fill_ns(rule) == 3 * interval_ns(rule)


@pytest.mark.parametrize(
    ("rule", "size"),
    [
        (Rule(19.9, 100), 0),
        (Rule(20, 8), 1),
        (Rule(60, 80), 5),
        (Rule(600, 80), 10),
        (Rule(20, 1), 1),
    ],
)
def test_lease_size(rule: Rule, size: int) -> None:
    assert rule.lease_size == size


def test_login_and_register_are_never_leased_by_default() -> None:
    settings = RateLimitSettings()
    rules = [settings.account["login"], settings.address["login"], settings.address["register"]]
    assert [rule.lease_size for rule in rules] == [0, 0, 0]


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"account": {"coment": {"per_minute": 1, "burst": 1}}}, "account"),
        ({"address": {"read": {"per_minute": 0, "burst": 1}}}, "per_minute"),
        ({"address": {"read": {"per_minute": 1, "burst": 0}}}, "burst"),
        ({"address": {"read": {"per_minute": 1, "burst": 1, "n": 1}}}, "n"),
        ({"enable": True}, "enable"),
    ],
)
def test_a_wrong_table_is_refused_with_its_path(given: dict[str, object], path: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=path):
        msgspec.convert(given, RateLimitSettings)


def test_a_table_that_is_given_replaces_the_default_one() -> None:
    given = {"account": {"vote": {"per_minute": 30, "burst": 3}}}
    settings = msgspec.convert(given, RateLimitSettings)
    assert settings.account == {"vote": Rule(30, 3)}
    assert settings.address == RateLimitSettings().address
