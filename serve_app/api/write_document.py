"""`python -m serve_app.api.write_document FILE`: the OpenAPI document, without a server.

The frontend's types are made from it. The file is touched only when it would change, so that make
does not build the frontend anew after every edit of a handler.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from serve_app.api.openapi import document
from serve_app.api.routing import ROUTES


def main(arguments: list[str]) -> int:
    (path,) = (Path(name) for name in arguments)
    text = msgspec.json.format(msgspec.json.encode(document(ROUTES, "serai_refresh")), indent=1)
    if not path.exists() or path.read_bytes() != text:
        path.write_bytes(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
