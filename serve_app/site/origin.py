"""Where people reach the pages, for absolute addresses in previews, feeds and sitemaps."""

from __future__ import annotations

import re
from typing import Final

from serve_app.api.call import Call
from serve_app.api.route import Nothing

_HOST: Final = re.compile(r"[A-Za-z0-9.-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")


def origin_of(call: Call[Nothing, Nothing]) -> str:
    """The setting, else what the client says; empty where that is no host. What is cached is
    cached by it: a host that somebody makes up is shown to them alone."""
    set_up = call.services.settings.site.url.rstrip("/")
    if set_up:
        return set_up
    host = call.request.host
    if _HOST.fullmatch(host) is None:
        return ""
    scheme = "https" if call.services.addresses.is_https(call.request) else "http"
    return f"{scheme}://{host}"
