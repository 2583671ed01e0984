"""Whether what is known of an official page is fresh. Pure."""

from __future__ import annotations

import datetime as dt
from typing import Literal

import msgspec

from config.settings import OfficialLinks

LinkStatus = Literal["unchecked", "ok", "missing", "refused", "failed"]
Freshness = Literal["fresh", "stale"]


class LinkState(msgspec.Struct, frozen=True):
    """What the server knows of an official page.

    `status`: `unchecked` (never looked at), `ok`, `missing` (404 or 410), `refused` (the site turns
    programs away) or `failed`. `freshness` is `fresh` where the page was reached lately, by the
    server's rule; anything else is `stale`. `last_changed_at`: when its text was first seen to
    differ; null where it never did."""

    url: str
    status: LinkStatus
    http_status: int | None
    freshness: Freshness
    last_checked_at: str | None
    last_changed_at: str | None


def freshness(
    status: str, last_ok_at: dt.datetime | None, now: dt.datetime, rule: OfficialLinks
) -> Freshness:
    """By rule: the last look was a success, `rule.stale_after_days` ago at most."""
    if status != "ok" or last_ok_at is None:
        return "stale"
    return "fresh" if now - last_ok_at <= dt.timedelta(days=rule.stale_after_days) else "stale"
