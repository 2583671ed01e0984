"""Tables of words, one file each: data that people extend without reading code."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Final

_HERE: Final = Path(__file__).parent


@cache
def read(name: str) -> dict[str, Any]:
    """The table `name`.toml, read once. The caller must not change it."""
    return tomllib.loads((_HERE / f"{name}.toml").read_text("utf-8"))
