"""The query of a list without filters of its own."""

from __future__ import annotations

import msgspec

from serve_app.api.fields import Cursor, Limit


class PageQuery(msgspec.Struct, frozen=True):
    limit: Limit = 30
    cursor: Cursor | None = None
