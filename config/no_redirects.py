"""Requests by the standard library that go to the server they name, and to no other."""

from __future__ import annotations

import urllib.request
from typing import Any, Final


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """What follows them sends keys along, and takes any server's answer for the right one's."""

    def http_error_302(self, *_: Any, **__: Any) -> None:
        return None

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


open_here: Final = urllib.request.build_opener(_NoRedirects).open
"""As urllib.request.urlopen; a redirect is an HTTPError. Blocks."""
