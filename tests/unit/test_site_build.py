"""What a build of the frontend is read as, and the headers of its pages."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from serve_app.api import write_document
from serve_app.site.build import BUILT, Site, read_build
from serve_app.site.security import page_headers

needs_build = pytest.mark.skipif(
    read_build() is None, reason="the frontend is not built: make site"
)
SHELL = "<html><head><!--head--><title>Serai</title><!--head--></head><body>page</body></html>"


@pytest.fixture
def built(tmp_path: Path) -> Path:
    for folder in ("chunks", "media", "serai"):
        (tmp_path / "_next/static" / folder).mkdir(parents=True)
    (tmp_path / "_next/static/chunks/a0f.js").write_text("code")
    (tmp_path / "_next/static/chunks/a0f.js.br").write_text("packed")
    (tmp_path / "_next/static/media/b1e.woff2").write_text("font")
    (tmp_path / "_next/static/serai/_ssgManifest.js").write_text("code")
    (tmp_path / "icon.svg").write_text("<svg/>")
    for name in ("index.html", "404.html"):
        (tmp_path / name).write_text(SHELL)
    write_manifest(tmp_path)
    return tmp_path


def write_manifest(directory: Path, api_origin: str = "") -> None:
    pages = {name: {"script_hashes": ["sha256-x"]} for name in ("index.html", "404.html")}
    manifest = {"pages": pages, "openapi": "0f", "api_origin": api_origin}
    (directory / "site.json").write_text(json.dumps(manifest))


def test_only_files_for_browsers_are_listed(built: Path) -> None:
    build = read_build(built)
    assert build is not None
    assert {name: file.immutable for name, file in build.files.items()} == {
        "/_next/static/chunks/a0f.js": True,
        "/_next/static/media/b1e.woff2": True,
        # Of every build: a browser that kept it for a year would keep an old one.
        "/_next/static/serai/_ssgManifest.js": False,
        "/icon.svg": False,
    }


def test_head_and_text_go_where_the_build_left_room(built: Path) -> None:
    build = read_build(built)
    assert build is not None
    assert build.shell.html() == SHELL.replace("<!--head-->", "").encode()
    assert build.shell.html("<title>A</title>", "<noscript>B</noscript>") == (
        b"<html><head><title>A</title></head><body>page<noscript>B</noscript></body></html>"
    )


@pytest.mark.parametrize("missing", ["site.json", "404.html"])
def test_an_incomplete_build_is_none(built: Path, missing: str) -> None:
    (built / missing).unlink()
    assert read_build(built) is None


def test_a_newer_build_is_taken_while_the_gateway_runs(built: Path) -> None:
    (built / "site.json").rename(built / "aside.json")
    site = Site(built)
    assert site.build is None
    write_manifest(built, "https://api.example.org")
    first = site.build
    assert first is not None and first.api_origin == "https://api.example.org"
    assert site.build is first
    write_manifest(built)
    os.utime(built / "site.json", ns=(1, 1))
    second = site.build
    assert second is not None and second.api_origin == ""
    (built / "site.json").unlink()
    assert site.build is second


def test_policy_allows_what_a_build_needs_and_nothing_else(built: Path) -> None:
    build = read_build(built)
    assert build is not None
    headers = page_headers(build.shell, "https://api.example.org", ("https://bucket.example.org",))
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self' 'sha256-x'"
    assert policy["connect-src"] == (
        "'self' https://api.example.org wss://api.example.org https://bucket.example.org"
    )


@needs_build
def test_types_of_the_build_are_those_of_the_api(tmp_path: Path) -> None:
    build = read_build()
    assert build is not None
    document = tmp_path / "openapi.json"
    assert write_document.main([str(document)]) == 0
    digest = hashlib.sha256(document.read_bytes()).hexdigest()
    assert build.openapi == digest, "the API has changed since the frontend was built: make site"
    written_at = document.stat().st_mtime_ns
    write_document.main([str(document)])
    assert document.stat().st_mtime_ns == written_at, "make would build the frontend again"


@needs_build
def test_the_build_here_is_whole() -> None:
    build = read_build()
    assert build is not None
    for path in (BUILT / "_next/static").rglob("*.js"):
        name = "/" + path.relative_to(BUILT).as_posix()
        assert build.files[name].immutable == (not path.name.startswith("_"))
    for shell in (build.shell, build.not_found):
        assert shell.script_hashes
        assert "<title>Serai</title>" in shell.html().decode()
