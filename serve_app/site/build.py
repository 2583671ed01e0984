"""What `make run` has built in frontend/out, read when it is new.

Only what is listed here is ever served: a path is looked up, never joined, so that there is nothing
to traverse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec

BUILT: Final = Path(__file__).resolve().parents[2] / "frontend" / "out"

# Written out: what a name means depends on the machine's own tables, and with `nosniff` a style
# sheet of an unknown type is none.
_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
# Manifests beside them keep their names from build to build.
_HASHED: Final = ("/_next/static/chunks/", "/_next/static/media/")
# The head of a page goes between two of them, in place of what stands there.
_HEAD_MARK: Final = "<!--head-->"
_BODY_END: Final = "</body>"


class _Page(msgspec.Struct, frozen=True):
    script_hashes: list[str]


class _Manifest(msgspec.Struct, frozen=True):
    """site.json, the last thing that a build writes."""

    pages: dict[str, _Page]
    openapi: str
    api_origin: str


@dataclass(frozen=True, slots=True)
class Shell:
    """A page of the build, cut where a head and readable text can be put in."""

    before: str
    head: str
    between: str
    after: str
    script_hashes: tuple[str, ...]

    def html(self, head: str = "", text: str = "") -> bytes:
        """`head` replaces the build's title; `text` is for readers without JavaScript."""
        return f"{self.before}{head or self.head}{self.between}{text}{self.after}".encode()


@dataclass(frozen=True, slots=True)
class File:
    """`immutable`: its name holds a hash of what it contains."""

    path: Path
    content_type: str
    immutable: bool


@dataclass(frozen=True, slots=True)
class Build:
    shell: Shell
    not_found: Shell
    api_origin: str
    openapi: str
    id: str
    """Differs from that of any other build."""
    files: Mapping[str, File] = field(repr=False)


class Site:
    """Of one gateway. `buckets`: origins that the browser itself sends files to and gets them
    from, unless that is a gateway."""

    def __init__(self, directory: Path = BUILT, buckets: tuple[str, ...] = ()) -> None:
        self.buckets = buckets
        self._directory = directory
        self._build: Build | None = None
        self._made_ns = 0

    @property
    def build(self) -> Build | None:
        """The newest complete one, also where it came while this gateway runs; None: there never
        was one."""
        try:
            made_ns = (self._directory / "site.json").stat().st_mtime_ns
        except OSError:
            return self._build
        if made_ns != self._made_ns:
            self._build = read_build(self._directory) or self._build
            self._made_ns = made_ns
        return self._build


def read_build(directory: Path = BUILT) -> Build | None:
    """None where there is no complete build."""
    try:
        manifest = msgspec.json.decode((directory / "site.json").read_bytes(), type=_Manifest)
        shell = (directory / "index.html").read_bytes()
        return Build(
            _shell(directory, "index.html", manifest),
            _shell(directory, "404.html", manifest),
            manifest.api_origin,
            manifest.openapi,
            blake2b(shell, digest_size=8).hexdigest(),
            dict(_files(directory)),
        )
    except (FileNotFoundError, NotADirectoryError, KeyError, ValueError):
        return None


def _shell(directory: Path, name: str, manifest: _Manifest) -> Shell:
    html = (directory / name).read_text("utf-8")
    before, head, rest = html.split(_HEAD_MARK)
    between, end, after = rest.rpartition(_BODY_END)
    hashes = tuple(manifest.pages[name].script_hashes)
    return Shell(before, head, between, end + after, hashes)


def _files(directory: Path) -> list[tuple[str, File]]:
    found = []
    for path in sorted(directory.rglob("*")):
        content_type = _TYPES.get(path.suffix)
        if content_type is None or not path.is_file() or path.name == "site.json":
            continue
        name = "/" + path.relative_to(directory).as_posix()
        found.append((name, File(path, content_type, name.startswith(_HASHED))))
    return found
