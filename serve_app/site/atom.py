"""The newest posts of a public community as an Atom feed (RFC 4287)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final
from xml.sax.saxutils import escape, quoteattr

import msgspec
from aiohttp import hdrs, web
from multidict import CIMultiDict

from actors.content import Post
from actors.feed_messages import ReadCommunity, ReadFeed
from actors.messages import GUEST, Reply
from serve_app.api.call import Call
from serve_app.api.headers import etag_of, is_match
from serve_app.api.route import Nothing, Route
from serve_app.api.schemas import CommunityAnswer, PostPage
from serve_app.site.head import SITE_NAME
from serve_app.site.origin import origin_of

_POSTS: Final = 30
_CONTENT_TYPE: Final = "application/atom+xml"
_page: Final = msgspec.json.Decoder(PostPage).decode
_community: Final = msgspec.json.Decoder(CommunityAnswer).decode
# XML 1.0 has no way to write them; Markdown of members may hold them.
_FORBIDDEN: Final = {code: None for code in range(32) if chr(code) not in "\t\n\r"} | {
    0xFFFE: None,
    0xFFFF: None,
}


async def community_feed(call: Call[Nothing, Nothing]) -> web.Response:
    """Raises AppError `not_found` for a private one too: who reads a feed has no token."""
    slug, origin = call.text("community"), origin_of(call)

    async def load(position: int) -> Reply:
        backends = replace(call, position=position).backends
        community = _community((await backends.feed(ReadCommunity(GUEST, slug))).body)
        reply = await backends.feed(ReadFeed(GUEST, slug, "new", "all", _POSTS, None))
        body = _feed(community, _page(reply.body).items, origin).encode()
        return msgspec.structs.replace(reply, body=body)

    def make_headers(reply: Reply) -> CIMultiDict[str]:
        return CIMultiDict(
            {
                hdrs.ETAG: etag_of(reply.body),
                hdrs.CONTENT_TYPE: f"{_CONTENT_TYPE}; charset=utf-8",
                hdrs.CACHE_CONTROL: "public, max-age=60",
            }
        )

    key = f"atom {origin}\n{slug}"
    page = await call.services.edge_cache.page(key, key, None, load, make_headers)
    headers = page.headers.copy()
    if is_match(headers[hdrs.ETAG], call.request.headers.get(hdrs.IF_NONE_MATCH, "")):
        return web.Response(status=304, headers=headers)
    return web.Response(body=page.body, headers=headers)


def _feed(community: CommunityAnswer, posts: list[Post], origin: str) -> str:
    shown = [post for post in posts if not post.deleted and post.author is not None]
    page = f"{origin}/communities/{community.slug}"
    updated = max((_changed(post) for post in shown), default=community.created_at)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<feed xmlns="http://www.w3.org/2005/Atom">'
        f"<id>urn:uuid:{community.id}</id>"
        f"<title>{_text(f'{community.name} · {SITE_NAME}')}</title>"
        f"<updated>{updated}</updated>"
        f'<link rel="alternate" type="text/html" href={quoteattr(page)}/>'
        f'<link rel="self" href={quoteattr(f"{page}/atom.xml")}/>'
        f"{''.join(_entry(post, origin) for post in shown)}</feed>"
    )


def _entry(post: Post, origin: str) -> str:
    author = post.author.handle if post.author is not None else SITE_NAME
    return (
        f"<entry xml:lang={quoteattr(post.language)}><id>urn:uuid:{post.id}</id>"
        f"<title>{_text(post.title)}</title>"
        f'<link rel="alternate" type="text/html" href={quoteattr(f"{origin}/posts/{post.id}")}/>'
        f"<published>{post.created_at}</published><updated>{_changed(post)}</updated>"
        f"<author><name>{_text(author)}</name></author>"
        f'<content type="html">{_text(post.body_html)}</content></entry>'
    )


def _changed(post: Post) -> str:
    return post.edited_at or post.created_at


def _text(text: str) -> str:
    return escape(text.translate(_FORBIDDEN))


ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "GET", "/communities/{community}/atom.xml", community_feed, "Atom feed of a community",
        access="open", rate="read", content_type=_CONTENT_TYPE, hidden=True,
    ),
)  # fmt: skip
