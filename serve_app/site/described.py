"""The head of each public page, from what its reader would see; private content is described to
nobody, since the question comes without a token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from html import escape
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from actors.content import Comment, CommentPermalink, Post
from actors.feed_messages import ReadCommunity, ReadGuide, ReadMember
from actors.guide_reads import Guide
from actors.member_reads import MemberView
from actors.messages import GUEST, ReadComment, ReadPost, Reply
from config.errors import AppError
from serve_app.api.call import Call
from serve_app.api.route import Nothing
from serve_app.api.schemas import CommunityAnswer
from serve_app.site.head import NOT_INDEXED, SITE_NAME, Head, excerpt, plain_text

_LEAD: Final = (
    "Questions, warnings and help from people who move to the same country, live and in many"
    " languages; answers with their sources."
)
_post: Final = msgspec.json.Decoder(Post).decode
_comment: Final = msgspec.json.Decoder(CommentPermalink).decode
_community: Final = msgspec.json.Decoder(CommunityAnswer).decode
_guide: Final = msgspec.json.Decoder(Guide).decode
_member: Final = msgspec.json.Decoder(MemberView).decode


class Described(NamedTuple):
    """`reply`: what the head was read from, for the cache; None: from nothing."""

    head: Head
    reply: Reply | None = None


Describe = Callable[[Call[Nothing, Nothing], str], Awaitable[Described]]


async def front(call: Call[Nothing, Nothing], origin: str) -> Described:
    data = {"@type": "WebSite", "name": SITE_NAME, "description": _LEAD, "url": f"{origin}/"}
    return Described(Head("", _LEAD, data=data))


async def directory(call: Call[Nothing, Nothing], origin: str) -> Described:
    text = "A community for every country, and for each of its visa types."
    return Described(Head("Communities", text, _path(call)))


async def community(call: Call[Nothing, Nothing], origin: str) -> Described:
    reply = await call.backends.feed(ReadCommunity(GUEST, call.text("community")))
    found = _community(reply.body)
    if found.visibility != "public":
        return Described(NOT_INDEXED, reply)
    path = f"/communities/{found.slug}"
    text = f"{found.name}: what members ask, warn of and recommend, newest first and live."
    data = {"@type": "CollectionPage", "name": found.name, "description": text,
            "url": origin + path, "isPartOf": _site(origin)}  # fmt: skip
    noscript = f"<h1>{escape(found.name)}</h1><p>{escape(text)}</p>"
    feed = (f"{path}/atom.xml", f"{found.name} · {SITE_NAME}")
    head = Head(found.name, text, path, feed=feed, data=data, text=noscript)
    return Described(head, reply)


def visa_tool(page: str, label: str, holds: str) -> Describe:
    """Of a public community of one visa; others have no such page to show."""

    async def describe(call: Call[Nothing, Nothing], origin: str) -> Described:
        reply = await call.backends.feed(ReadCommunity(GUEST, call.text("community")))
        found = _community(reply.body)
        if found.visibility != "public" or found.visa_type is None:
            return Described(NOT_INDEXED, reply)
        path = f"/communities/{found.slug}/{page}"
        title, text = f"{label} · {found.name}", f"{found.name}: {holds}"
        data = {"@type": "WebPage", "name": title, "description": text, "url": origin + path,
                "isPartOf": _site(origin)}  # fmt: skip
        noscript = f"<h1>{escape(title)}</h1><p>{escape(text)}</p>"
        return Described(Head(title, text, path, data=data, text=noscript), reply)

    return describe


async def thread(call: Call[Nothing, Nothing], origin: str) -> Described:
    """A comment's own address too: the thread's page is where search engines should lead."""
    reply = await call.backends.thread_read(ReadPost(GUEST, call.uuid("post")))
    post = _post(reply.body)
    if post.deleted or post.author is None:
        return Described(NOT_INDEXED, reply)
    accepted = await _accepted(call, post) if post.accepted_comment_id else None
    path = f"/posts/{post.id}"
    data = _question(post, accepted, origin) if accepted else _discussion(post, origin)
    text = (
        f'<article lang="{escape(post.language)}"><h1>{escape(post.title)}</h1>'
        f'<p>@{escape(post.author.handle)}</p><div class="prose">{post.body_html}</div></article>'
    )
    head = Head(
        post.title, excerpt(post.body_html), path, "article", post.created_at, post.edited_at,
        data=data, text=text,
    )  # fmt: skip
    return Described(head, reply)


async def guide(call: Call[Nothing, Nothing], origin: str) -> Described:
    reply = await call.backends.feed(ReadGuide(call.uuid("guide")))
    found = _guide(reply.body)
    path, text = f"/guides/{found.id}", excerpt(found.body_html)
    data = {
        "@type": "Article", "headline": found.title, "description": text, "url": origin + path,
        "inLanguage": found.language, "dateModified": found.updated_at,
        "isBasedOn": found.source_url, "isPartOf": _site(origin),
    }  # fmt: skip
    body = f'<article lang="{escape(found.language)}"><h1>{escape(found.title)}</h1>'
    body += f'<div class="prose">{found.body_html}</div></article>'
    head = Head(found.title, text, path, "article", modified=found.updated_at, data=data, text=body)
    return Described(head, reply)


async def member(call: Call[Nothing, Nothing], origin: str) -> Described:
    """Named for bookmarks; search engines should find what people wrote, not people."""
    reply = await call.backends.feed(ReadMember(call.values["handle"]))
    return Described(Head(f"@{_member(reply.body).handle}", indexed=False), reply)


# By the names of frontend/src/routing/paths.json. All others are for members, or show what a search
# engine has no use for.
DESCRIBED: Final[Mapping[str, Describe]] = {
    "home": front,
    "explore": directory,
    "community": community,
    "timelines": visa_tool(
        "timelines", "Timelines", "when members applied, and what has happened since, by month."
    ),
    "statistics": visa_tool(
        "statistics",
        "Waiting times",
        "how long it took, by what members recorded of their applications, pending ones counted.",
    ),
    "checklist": visa_tool(
        "checklist", "Checklist", "what has to be done and brought, with the official sources."
    ),
    "links": visa_tool(
        "links", "Official links", "the pages of the authorities, and when they last changed."
    ),
    "thread": thread,
    "comment": thread,
    "guide": guide,
    "member": member,
}


async def _accepted(call: Call[Nothing, Nothing], post: Post) -> Comment | None:
    assert isinstance(post.accepted_comment_id, UUID)
    try:
        reply = await call.backends.thread_read(ReadComment(GUEST, post.accepted_comment_id, 0))
    except AppError as error:
        if error.code != "not_found":
            raise
        return None
    found = _comment(reply.body)
    return None if found.deleted else found


def _question(post: Post, accepted: Comment, origin: str) -> dict[str, Any]:
    answer = {
        "@type": "Answer",
        "text": plain_text(accepted.body_html),
        "upvoteCount": accepted.up,
        "dateCreated": accepted.created_at,
        "url": f"{origin}/posts/{post.id}/comments/{accepted.id}",
        "author": _author(accepted),
    }
    question = {
        "@type": "Question",
        "name": post.title,
        "text": plain_text(post.body_html) or post.title,
        "answerCount": post.comment_count,
        "upvoteCount": post.up,
        "dateCreated": post.created_at,
        "author": _author(post),
        "acceptedAnswer": answer,
    }
    return {"@type": "QAPage", "inLanguage": post.language, "mainEntity": question}


def _discussion(post: Post, origin: str) -> dict[str, Any]:
    counts = {"LikeAction": post.up, "CommentAction": post.comment_count}
    return {
        "@type": "DiscussionForumPosting",
        "headline": post.title,
        "text": plain_text(post.body_html) or post.title,
        "url": f"{origin}/posts/{post.id}",
        "inLanguage": post.language,
        "datePublished": post.created_at,
        "dateModified": post.edited_at or post.created_at,
        "author": _author(post),
        "commentCount": post.comment_count,
        "interactionStatistic": [
            {
                "@type": "InteractionCounter",
                "interactionType": {"@type": kind},
                "userInteractionCount": count,
            }
            for kind, count in counts.items()
        ],
        "isPartOf": _site(origin),
    }


def _author(content: Post | Comment) -> dict[str, str]:
    author = content.author
    if author is None:
        return {"@type": "Person", "name": SITE_NAME}
    return {"@type": "Person", "name": author.display_name or author.handle}


def _site(origin: str) -> dict[str, str]:
    return {"@type": "WebSite", "name": SITE_NAME, "url": f"{origin}/"}


def _path(call: Call[Nothing, Nothing]) -> str:
    return call.request.path
