"""When what an authority says must be taken as old. Pure."""

from __future__ import annotations

from datetime import date, timedelta

from config.settings import Guides


def is_stale(as_of: date, last_checked: date, today: date, rule: Guides) -> bool:
    """By rule alone: the facts are older than `rule.stale_after_days`, or nobody has compared them
    with the source for `rule.check_after_days`."""
    facts_age, check_age = today - as_of, today - last_checked
    return facts_age > timedelta(days=rule.stale_after_days) or check_age > timedelta(
        days=rule.check_after_days
    )
