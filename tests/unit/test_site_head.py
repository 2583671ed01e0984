"""What previews and search engines read, and that nobody's text can become more than text."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.content import Author, Comment, CommentPermalink, Post
from actors.feed_messages import ReadCommunity, ReadMember
from actors.messages import GUEST, ReadComment, ReadPost, Reply
from config.errors import AppError
from serve_app.api.schemas import CommunityAnswer
from serve_app.site import described
from serve_app.site.head import NOT_INDEXED, Head, excerpt, plain_text, render_head, render_text
from serve_app.site.pages import PATHS

ORIGIN = "https://www.example.org"
POST = UUID("0192f5a6-7c3e-7d2b-8b1a-9c7d5e3f1a2c")
COMMENT = UUID("0192f5a6-7c3e-7d2b-8b1a-9c7d5e3f1a2d")
AUTHOR = Author(UUID("0192f5a6-7c3e-7d2b-8b1a-9c7d5e3f1a2b"), "amina", "Amina")
TOOLS = ("timelines", "statistics", "checklist", "links")
HOSTILE = "\"></title></script><script>alert(1)</script><!-- '\u2028"


def post(**changes: Any) -> Post:
    made = Post(
        POST, POST, "DE", "student", AUTHOR, "How long?", "Long.", "<p>Long &amp; hard.</p>", "en",
        (), 3, 1, 2, 4, "2026-11-20T08:15:30.123Z", None, False, False, None, False,
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def answer(**changes: Any) -> CommentPermalink:
    made = Comment(
        COMMENT, POST, None, 0, AUTHOR, "8 weeks", "<p>8 weeks</p>", "en", 5, 0, 5,
        "2026-11-20T09:15:30.123Z", None, False, 0,
    )  # fmt: skip
    fields = {name: getattr(made, name) for name in made.__struct_fields__} | changes
    return CommentPermalink(**fields, permalink="", post_permalink="", ancestor_ids=(), context=())


class Backends:
    def __init__(self, shown: Post, accepted: CommentPermalink | None = None) -> None:
        self._shown, self._accepted = shown, accepted

    async def thread_read(self, request: Any) -> Reply:
        if isinstance(request, ReadPost):
            return Reply(body=msgspec.json.encode(self._shown), public=True, channel="thread:x")
        assert isinstance(request, ReadComment)
        if self._accepted is None:
            raise AppError("not_found")
        return Reply(body=msgspec.json.encode(self._accepted), public=True)


async def head_of(shown: Post, accepted: CommentPermalink | None = None) -> Head:
    call: Any = SimpleNamespace(backends=Backends(shown, accepted), uuid=lambda name: POST)
    head, reply = await described.thread(call, ORIGIN)
    assert reply is not None and reply.channel == "thread:x"
    return head


class Tags(HTMLParser):
    """Elements that a browser would make, and the text of scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.scripts: list[str] = []
        self.attributes: list[dict[str, str | None]] = []
        self._in_script = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.append(dict(attrs))
        self._in_script = tag == "script"

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts.append(data)


def data_of(head: Head) -> dict[str, Any]:
    [script] = Tags(render_head(head, ORIGIN)).scripts
    data: dict[str, Any] = json.loads(script)
    return data


async def test_a_question_with_an_accepted_answer_is_a_page_of_question_and_answer() -> None:
    head = await head_of(post(accepted_comment_id=COMMENT), answer())
    data = data_of(head)
    assert data["@type"] == "QAPage"
    question = data["mainEntity"]
    assert (question["name"], question["text"]) == ("How long?", "Long & hard.")
    assert question["acceptedAnswer"]["text"] == "8 weeks"
    assert question["acceptedAnswer"]["url"] == f"{ORIGIN}/posts/{POST}/comments/{COMMENT}"
    html = render_head(head, ORIGIN)
    assert "<title>How long? · Serai</title>" in html
    assert f'<link rel="canonical" href="{ORIGIN}/posts/{POST}">' in html


@pytest.mark.parametrize("accepted", [None, answer(deleted=True)])
async def test_without_an_answer_that_is_there_it_is_a_discussion(
    accepted: CommentPermalink | None,
) -> None:
    data = data_of(await head_of(post(accepted_comment_id=COMMENT), accepted))
    assert data["@type"] == "DiscussionForumPosting"
    assert (data["headline"], data["commentCount"]) == ("How long?", 4)


async def test_what_was_removed_is_not_described() -> None:
    head = await head_of(post(deleted=True, author=None, title="", body_html=""))
    assert render_head(head, ORIGIN) == (
        '<title>Serai</title><meta name="robots" content="noindex">'
    )
    assert render_text(head) == ""


def community(**changes: Any) -> CommunityAnswer:
    made = CommunityAnswer(
        POST, "de-student", "Germany: Student visa", "DE", "student", "visa", 3, "", "public",
        "open", False, "2026-11-20T08:15:30.123Z",
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


async def community_head(page: str, shown: CommunityAnswer) -> Head:
    async def feed(request: Any) -> Reply:
        assert request == ReadCommunity(GUEST, "de-student")
        return Reply(body=msgspec.json.encode(shown), public=True, channel="community:x")

    backends = SimpleNamespace(feed=feed)
    call: Any = SimpleNamespace(backends=backends, text=lambda name: "de-student")
    head, reply = await described.DESCRIBED[page](call, ORIGIN)
    assert reply is not None and reply.channel == "community:x"
    return head


@pytest.mark.parametrize("page", TOOLS)
async def test_visa_tools_are_described_by_their_community(page: str) -> None:
    head = await community_head(page, community())
    html = render_head(head, ORIGIN)
    assert head.title.endswith(" · Germany: Student visa")
    assert f"<title>{head.title} · Serai</title>" in html
    assert f'property="og:description" content="{head.description}"' in html
    address = PATHS[page].replace("{community}", "de-student")
    assert f'<link rel="canonical" href="{ORIGIN}{address}">' in html
    assert data_of(head)["url"] == ORIGIN + address
    assert head.description in render_text(head)


@pytest.mark.parametrize("page", ["community", *TOOLS])
async def test_private_communities_are_not_described(page: str) -> None:
    # A guest who may ask to join is told the name; search engines are not.
    shown = community(visibility="private", joining="request")
    assert await community_head(page, shown) == NOT_INDEXED


@pytest.mark.parametrize("page", TOOLS)
async def test_communities_of_no_visa_have_no_tools_to_describe(page: str) -> None:
    shown = community(kind="country", visa_type=None)
    assert await community_head(page, shown) == NOT_INDEXED


async def test_a_member_has_a_title_and_is_not_indexed() -> None:
    view = {"id": POST, "handle": "amina", "display_name": HOSTILE, "joined": "2026-03"}

    async def feed(request: ReadMember) -> Reply:
        assert request.handle == "Amina"
        return Reply(body=msgspec.json.encode(view), public=True)

    call: Any = SimpleNamespace(backends=SimpleNamespace(feed=feed), values={"handle": "Amina"})
    head, _ = await described.member(call, ORIGIN)
    assert render_head(head, ORIGIN) == (
        '<title>@amina · Serai</title><meta name="robots" content="noindex">'
    )
    assert render_text(head) == ""


@given(st.text(), st.sampled_from(["", ORIGIN]))
def test_no_text_becomes_markup(text: str, origin: str) -> None:
    for hostile in (text, HOSTILE + text, text + HOSTILE):
        plain = Head("a", "a", "/a", feed=("/f", "a"), data={"name": "a"})
        made = Head(hostile, hostile, "/a", feed=("/f", hostile), data={"name": hostile})
        tags = Tags(render_head(made, origin)).tags
        # An empty description leaves its element out.
        assert set(tags) <= set(Tags(render_head(plain, origin)).tags)
        assert tags.count("script") == 1
        assert len(tags) <= len(Tags(render_head(plain, origin)).tags)


async def test_hostile_titles_and_handles_stay_text_in_the_readable_page() -> None:
    author = msgspec.structs.replace(AUTHOR, handle=HOSTILE)
    text = render_text(await head_of(post(title=HOSTILE, author=author, language='"x')))
    assert "script" not in Tags(text).tags
    assert data_of(await head_of(post(title=HOSTILE)))["headline"] == HOSTILE


def test_excerpts_are_cut_between_words() -> None:
    html = "<p>One <b>two</b></p><script>no</script><p>three&nbsp;four</p>"
    assert plain_text(html) == "One two three four"
    assert excerpt(html, 9) == "One two…"
    assert excerpt("<p>abcdefghij</p>", 5) == "abcde…"


def test_addresses_that_are_described_are_those_of_the_app() -> None:
    templates = {
        "home": "/",
        "explore": "/explore",
        "community": "/communities/{community}",
        **{tool: f"/communities/{{community}}/{tool}" for tool in TOOLS},
        "thread": "/posts/{post}",
        "comment": "/posts/{post}/comments/{comment}",
        "guide": "/guides/{guide}",
        "member": "/members/{handle}",
    }
    assert set(described.DESCRIBED) == set(templates)
    for name, template in templates.items():
        assert PATHS.get(name, template) == template
    assert all(re.fullmatch(r"/|(/[a-z-]+|/\{[a-z]+\})+", path) for path in PATHS.values())
