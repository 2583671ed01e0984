"""Translations on request: made by a job, checked, kept by revision, gone with their text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import msgspec
import pytest

from actors.messages import (
    GUEST,
    AskTranslation,
    Caller,
    DeleteComment,
    EditPost,
    Outcome,
    ReadPost,
    ReadTranslation,
    Reply,
)
from actors.thread import Thread
from actors.translating import Translator
from config.errors import AppError
from config.llm import Llm
from serve_app.api.derived import ROUTES
from storage import jobs
from storage.accounts import suspend
from storage.directory import Directory
from tests.conditions import wait_until_async
from tests.integration.content import RECEIVED_NS, Content, content_on
from tests.integration.derived_scene import FakeWriter, Told

pytestmark = pytest.mark.integration

TEXT = "I paid 75 euros on 3 May, see https://example.org/fees for the list.\n\n- bring copies\n"
GERMAN = {
    "How long does it take?": "Wie lange dauert es?",
    "I paid 75 euros on 3 May, see https://example.org/fees for the list.": (
        "Ich habe am 3. Mai 75 Euro bezahlt, siehe https://example.org/fees für die Liste."
    ),
    "- bring copies": "- Kopien mitbringen",
}


@pytest.fixture
async def content(database_url: str) -> AsyncIterator[Content]:
    async with content_on(database_url) as made:
        made.thread = Thread(made.pool, Directory(made.pool), made.publisher, can_translate=True)
        yield made


def german(prompt: str) -> str:
    """Of the text between the two lines of marks."""
    return GERMAN[prompt.split(" text\n", 1)[1].split("\n<<<", 1)[0]]


async def ask(content: Content, caller: Caller, kind: Any, id: str, to: str = "de") -> Any:
    [outcome] = await content.ask(AskTranslation(caller, kind, UUID(id), to))
    return shown(content, outcome)


async def test_a_post_says_that_it_can_be_translated(content: Content) -> None:
    ada = await content.member("ada")
    post = await content.post(ada)
    [told] = await content.ask(ReadPost(ada, UUID(post["id"])))
    assert shown(content, told)["translatable"] is True
    content.thread = Thread(content.pool, Directory(content.pool), content.publisher)
    [told] = await content.ask(ReadPost(ada, UUID(post["id"])))
    assert "translatable" not in shown(content, told)


async def read(content: Content, kind: Any, id: str, to: str = "de") -> Any:
    [outcome] = await content.ask(ReadTranslation(GUEST, kind, UUID(id), to))
    return shown(content, outcome)


def shown(content: Content, outcome: Outcome) -> Any:
    return content.body(outcome) if isinstance(outcome, Reply) else content.code(outcome)


async def work(content: Content, writer: FakeWriter | None, told: Told | None = None) -> int:
    """Runs the queued jobs 'translate'; how many there were."""
    rows = await content.pool.fetch("select id, payload from pgqueuer where entrypoint='translate'")
    translator = Translator(content.pool, (told or Told()).publish, writer)
    for row in rows:
        await translator.run(row["payload"])
        await translator.run(row["payload"])
        await content.pool.execute("delete from pgqueuer where id = $1", row["id"])
    return len(rows)


async def test_a_post_is_translated_once_for_all_who_read_it(content: Content) -> None:
    ana, ben, told = await content.member("ana"), await content.member("ben"), Told()
    post = await content.post(ana, body=TEXT)
    assert await read(content, "post", post["id"]) == "not_found"
    for member in (ana, ben):
        asked = await ask(content, member, "post", post["id"], "DE")
        assert (asked["state"], asked["body_markdown"], asked["title"]) == ("pending", "", "")
    writer = FakeWriter(german)
    assert await work(content, writer, told) == 1
    for found in (
        await read(content, "post", post["id"]),
        await ask(content, ben, "post", post["id"]),
    ):
        assert (found["state"], found["title"]) == ("ready", "Wie lange dauert es?")
        assert found["body_markdown"].endswith("Liste.\n\n- Kopien mitbringen\n")
        assert "<li" in found["body_html"]
        assert (found["language"], found["source_language"], found["model"]) == (
            "de", "en", "test/writer",
        )  # fmt: skip
    assert len(writer.asked) == 3
    assert set(writer.payers) == {ana.account_id}
    [event] = told.data()
    assert (event["type"], event["id"], event["language"], event["state"]) == (
        "translation.ready", post["id"], "de", "ready",
    )  # fmt: skip
    assert await work(content, None) == 0


async def test_it_goes_with_its_text(content: Content) -> None:
    ana = await content.member("ana")
    post = await content.post(ana, body=TEXT)
    comment = await content.comment(ana, post["id"], body=TEXT)
    for kind, id in (("post", post["id"]), ("comment", comment["id"])):
        await ask(content, ana, kind, id)
    await work(content, FakeWriter(german))
    assert (await read(content, "comment", comment["id"]))["title"] is None
    edit = EditPost(ana, UUID(post["id"]), None, "Short.", None, None, None, None, RECEIVED_NS)
    await content.ask(edit, DeleteComment(ana, UUID(comment["id"]), RECEIVED_NS))
    assert await content.pool.fetchval("select count(*) from translation") == 0
    assert await read(content, "post", post["id"]) == "not_found"


@pytest.mark.parametrize(
    "answer",
    [
        lambda asked: german(asked).replace("75", "90"),
        lambda asked: f"{german(asked)} Mehr bei https://evil.example",
        lambda asked: "I will not do that, but here is something else for you to read.",
        lambda asked: f"{german(asked)} <b>x</b>",
        lambda asked: "",
        lambda asked: AppError("too_large", "Too much."),
        lambda asked: AppError("rate_limited", "Enough for today.", retry_after_seconds=3_600),
    ],
    ids=["number", "link", "other_language", "html", "empty", "too_large", "budget"],
)
async def test_what_can_not_be_shown_has_failed_and_may_be_asked_for_again(
    content: Content, answer: Callable[[str], str | AppError]
) -> None:
    ana = await content.member("ana")
    post = await content.post(ana, body=TEXT)
    await ask(content, ana, "post", post["id"])
    await work(content, FakeWriter(answer))
    failed = await read(content, "post", post["id"])
    assert (failed["state"], failed["body_markdown"], failed["body_html"]) == ("failed", "", "")
    again = await ask(content, ana, "post", post["id"])
    assert again["state"] == "pending"
    await work(content, FakeWriter(german))
    assert (await read(content, "post", post["id"]))["state"] == "ready"


async def test_a_model_that_is_away_is_waited_for(content: Content) -> None:
    ana = await content.member("ana")
    post = await content.post(ana, body=TEXT)
    await ask(content, ana, "post", post["id"])
    for writer in (None, FakeWriter(lambda _: AppError("unavailable", "It is away."))):
        with pytest.raises(AppError) as raised:
            await work(content, writer)
        assert raised.value.code == "unavailable"
    assert (await read(content, "post", post["id"]))["state"] == "pending"


async def test_a_text_that_takes_the_model_too_long_has_failed_after_three_tries(
    content: Content, database_url: str
) -> None:
    ana = await content.member("ana")
    post = await content.post(ana, body=TEXT)
    await ask(content, ana, "post", post["id"])
    writer = FakeWriter(lambda _: AppError("overloaded", "Too late.", retry_after_seconds=5))
    translator, stop = Translator(content.pool, Told().publish, writer), asyncio.Event()
    running = asyncio.create_task(
        jobs.work(database_url, content.pool, {"translate": translator.run}, stop)
    )

    async def gone() -> bool:
        due = "update pgqueuer set execute_after = now() where entrypoint = 'translate'"
        return await content.pool.execute(due) == "UPDATE 0"

    try:
        await wait_until_async(gone)
    finally:
        stop.set()
        await running
    assert len(writer.asked) == 3
    assert (await read(content, "post", post["id"]))["state"] == "failed"


async def test_a_queue_that_is_full_is_waited_for_without_count(content: Content) -> None:
    ana = await content.member("ana")
    post = await content.post(ana, body=TEXT)
    await ask(content, ana, "post", post["id"])
    full = AppError("rate_limited", "Too many wait.", retry_after_seconds=5)
    with pytest.raises(AppError) as raised:
        await work(content, FakeWriter(lambda _: full))
    assert (raised.value.code, raised.value.retry_after_seconds) == ("unavailable", 5)
    assert (await read(content, "post", post["id"]))["state"] == "pending"


async def test_code_and_blank_lines_stay_as_they_are(content: Content) -> None:
    ana = await content.member("ana")
    code = "```\nvisa = 75  # bring copies\n```\n"
    post = await content.post(ana, body=f"{code}\n- bring copies\n\n  \n42\n")
    await ask(content, ana, "post", post["id"])
    await work(content, FakeWriter(german))
    found = await read(content, "post", post["id"])
    assert found["body_markdown"] == f"{code}\n- Kopien mitbringen\n\n  \n42\n"


async def test_every_refusal_is_documented_and_happens(content: Content) -> None:
    ana, eve = await content.member("ana"), await content.member("eve")
    await suspend(content.pool, "eve")
    post = await content.post(ana, body=TEXT)
    long = await content.post(ana, body="word " * 3_000)
    comment = await content.comment(ana, post["id"], body=TEXT)
    await content.ask(DeleteComment(ana, UUID(comment["id"]), RECEIVED_NS))
    unknown = str(UUID(int=UUID(post["id"]).int ^ 1))
    seen = {
        await ask(content, GUEST, "post", post["id"]),
        await ask(content, eve, "post", post["id"]),
        await ask(content, ana, "post", long["id"]),
        await ask(content, ana, "post", unknown),
        await ask(content, ana, "comment", comment["id"]),
        await ask(content, ana, "post", post["id"], "en-GB"),
        await ask(content, ana, "post", post["id"], "qqq"),
    }
    content.thread = Thread(content.pool, Directory(content.pool), content.publisher)
    seen.add(await ask(content, ana, "post", post["id"]))
    assert seen == {
        "unauthenticated", "suspended", "too_large", "not_found", "invalid", "not_supported",
    }  # fmt: skip
    for route in ROUTES:
        if route.method == "POST":
            assert seen <= route.codes
    await content.pool.execute("update community set visibility = 'private'")
    ben = await content.member("ben")
    content.thread = Thread(
        content.pool, Directory(content.pool), content.publisher, can_translate=True
    )
    assert await ask(content, ben, "post", post["id"]) == "not_found"


def test_the_model_that_comes_along_translates_nothing() -> None:
    assert not Llm(translates=True).can_translate
    assert not Llm(engine="llama_cpp", model="x.gguf").can_translate
    assert Llm(engine="llama_cpp", model="x.gguf", translates=True).can_translate
    assert msgspec.convert({"translates": "true"}, Llm, strict=False).translates
