"""What every search engine does, the same for each of them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest

from storage.identity import new_id
from storage.search.engine import (
    Changes,
    SearchDocument,
    SearchEngine,
    SearchQuery,
    UnknownGeneration,
)
from storage.search.meilisearch_engine import MeilisearchEngine
from storage.search.tantivy_engine import TantivyEngine

pytestmark = pytest.mark.integration

SERVER: Final = "SERAI_TEST_MEILISEARCH_URL"
KEY: Final = "SERAI_TEST_MEILISEARCH_KEY"
# A server for tests alone: every index of Serai in it is deleted.
GENERATION: Final = 900_000_001
OTHER: Final = 900_000_002
GERMANY, CANADA = 276, 124


@pytest.fixture(params=["tantivy", "meilisearch", "meilisearch by country"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SearchEngine]:
    made: SearchEngine
    if request.param == "tantivy":
        made = TantivyEngine(tmp_path)
    else:
        url = os.environ.get(SERVER)
        if not url:
            pytest.skip(f"MEILISEARCH ITSELF IS NOT TESTED: {SERVER} names no server")
        by_country = request.param.endswith("country")
        made = MeilisearchEngine(url, os.environ.get(KEY, ""), by_country=by_country)
    await made.create(GENERATION)
    try:
        yield made
    finally:
        await made.keep_only([])
        await made.close()


def document(title: str, text: str = "", **fields: Any) -> SearchDocument:
    country = fields.get("country", GERMANY)
    id = new_id(country)
    given: dict[str, Any] = {
        "id": id,
        "kind": "post",
        "post_id": id,
        "community_id": None,
        "public": True,
        "country": country,
        "visa_type": "student",
        "language": "en",
        "title": title,
        "tags": (),
        "text": text,
        "created_at": 1_790_000_000,
    }
    return SearchDocument(**(given | fields))


async def found(engine: SearchEngine, text: str, **query: Any) -> list[UUID]:
    page = await engine.search(GENERATION, SearchQuery(text, query.pop("limit", 20), **query))
    return [hit.id for hit in page.hits]


# One text in each script, with what is asked for and found in it, and what is not.
SCRIPTS: Final = {
    "en": ("How long does a student visa take?", "I waited nine weeks.", "student visa", "tourist"),
    "de": ("Sperrkonto eröffnen", "Die Botschaft prüft den Nachweis.", "eroffnen", "Führerschein"),
    "zh": ("签证需要多长时间", "我在北京递交了学生签证申请", "学生签证", "驾照"),
    "ja": ("ビザの申請方法", "大使館で面接がありました", "面接", "免許"),
    "ko": ("비자 신청 방법", "대사관에서 면접을 봤습니다", "비자", "운전"),
    "th": ("ขอวีซ่านักเรียน", "รอสามสัปดาห์", "วีซ่า", "ใบขับขี่"),
    "ar": ("التأشيرة الدراسية", "قدمت الطلب في السفارة الألمانية", "تأشيرة", "رخصة"),
    "fa": ("ویزای تحصیلی آلمان", "وقت سفارت گرفتم", "ویزای", "گواهینامه"),
    "hi": ("छात्र वीज़ा", "जर्मनी का दूतावास छह हफ़्ते लेता है", "वीजा", "लाइसेंस"),
    "ru": ("Студенческая виза", "Посольство ответило через шесть недель", "посольство", "права"),
    "uk": ("Віза для навчання", "Відповідь надійшла за шість тижнів", "навчання", "водій"),
    "tr": ("Öğrenci vizesi", "Konsolosluk altı hafta sürdü", "ogrenci", "ehliyet"),
    "vi": ("Thị thực du học", "Đại sứ quán trả lời sau sáu tuần", "thi thuc", "bằng lái"),
}


@pytest.fixture
async def library(engine: SearchEngine) -> dict[str, SearchDocument]:
    documents = {
        language: document(title, text, language=language)
        for language, (title, text, _, _) in SCRIPTS.items()
    }
    await engine.apply(GENERATION, Changes(list(documents.values())))
    return documents


async def test_every_script_is_found_by_its_own_words(
    engine: SearchEngine, library: dict[str, SearchDocument]
) -> None:
    for language, (_, _, asked, missing) in SCRIPTS.items():
        assert library[language].id in await found(engine, asked), language
        assert library[language].id not in await found(engine, missing), language


async def test_words_with_typos_and_beginnings_are_found(
    engine: SearchEngine, library: dict[str, SearchDocument]
) -> None:
    english = [library["en"].id]
    assert await found(engine, "studnet visa") == english
    assert await found(engine, "stu") == english
    assert await found(engine, "stu visa") == [], "only the last word may be unfinished"
    assert await found(engine, "vsia") == [], "short words are meant as they are"
    assert await found(engine, "Sperrkonnto") == [library["de"].id]


async def test_all_words_must_be_there_or_any(engine: SearchEngine) -> None:
    both, one = document("visa interview"), document("visa photo")
    await engine.apply(GENERATION, Changes([both, one]))
    assert await found(engine, "visa interview") == [both.id]
    assert await found(engine, "visa interview", every_word=False) == [both.id, one.id]


async def test_titles_weigh_more_than_texts(engine: SearchEngine) -> None:
    below = document("Something else", "about an apostille and more")
    above = document("Apostille", "where do I get one")
    await engine.apply(GENERATION, Changes([below, above]))
    assert await found(engine, "apostille") == [above.id, below.id]
    assert await found(engine, "apost", titles_only=True) == [above.id]


async def test_filters_and_facets(engine: SearchEngine) -> None:
    here = document("visa", tags=("embassy",), language="pt-BR", created_at=1_000)
    there = document(
        "visa", country=CANADA, visa_type="study-permit", kind="comment", created_at=2_000
    )
    guide = document("visa", visa_type=None, kind="guide", language="pt", created_at=3_000)
    await engine.apply(GENERATION, Changes([here, there, guide]))

    assert set(await found(engine, "visa")) == {here.id, there.id, guide.id}
    assert await found(engine, "visa", country=CANADA) == [there.id]
    assert await found(engine, "visa", visa_type="student") == [here.id]
    assert await found(engine, "visa", kinds=("guide",)) == [guide.id]
    assert set(await found(engine, "visa", kinds=("guide", "comment"))) == {guide.id, there.id}
    assert set(await found(engine, "visa", language="pt")) == {here.id, guide.id}
    assert await found(engine, "visa", language="pt-br") == [here.id]
    assert await found(engine, "visa", since=1_001, until=3_000) == [there.id]
    assert await found(engine, "visa", sort="new") == [guide.id, there.id, here.id]
    assert await found(engine, "visa", sort="new", limit=2) == [guide.id, there.id]
    assert await found(engine, "embassy") == [here.id]
    assert await found(engine, "visa", visa_type='student" OR public = true') == []

    page = await engine.search(GENERATION, SearchQuery("visa", 1, facets=True))
    assert page.total == 3
    assert page.facets == {
        "kind": {"post": 1, "comment": 1, "guide": 1},
        "country": {"276": 2, "124": 1},
        "visa_type": {"student": 1, "study-permit": 1},
        "language": {"pt-br": 1, "en": 1, "pt": 1},
    }


async def test_what_is_not_public_is_for_those_who_may_read_it(engine: SearchEngine) -> None:
    group, other_group = new_id(0), new_id(0)
    shown = document("visa")
    hidden = document("visa", country=0, public=False, community_id=group)
    await engine.apply(GENERATION, Changes([shown, hidden]))
    assert await found(engine, "visa") == [shown.id]
    assert await found(engine, "visa", readable=(other_group,)) == [shown.id]
    assert set(await found(engine, "visa", readable=(other_group, group))) == {shown.id, hidden.id}
    assert set(await found(engine, "visa", readable=None)) == {shown.id, hidden.id}
    facets = (await engine.search(GENERATION, SearchQuery("visa", 1, facets=True))).facets
    assert facets["country"] == {"276": 1}


async def test_a_document_is_replaced_and_removed_alone_or_with_its_thread(
    engine: SearchEngine,
) -> None:
    post = document("visa")
    answer = document("", "an answer about a visa", kind="comment", post_id=post.id)
    other = document("visa")
    await engine.apply(GENERATION, Changes([post, answer, other]))
    assert await engine.count(GENERATION) == 3

    changed = document("passport", id=post.id, post_id=post.id)
    await engine.apply(GENERATION, Changes([changed]))
    assert await found(engine, "passport") == [post.id]
    assert set(await found(engine, "visa")) == {answer.id, other.id}

    await engine.apply(GENERATION, Changes(removed=[other.id, new_id(GERMANY)]))
    assert await found(engine, "visa") == [answer.id]
    # A thread goes before what comes: so it is written anew.
    await engine.apply(GENERATION, Changes([changed], threads=[post.id]))
    assert await engine.count(GENERATION) == 1
    await engine.apply(GENERATION, Changes(threads=[post.id]))
    assert await engine.count(GENERATION) == 0


async def test_generations_know_nothing_of_each_other(engine: SearchEngine) -> None:
    assert await engine.has(GENERATION)
    assert not await engine.has(OTHER)
    with pytest.raises(UnknownGeneration):
        await engine.search(OTHER, SearchQuery("visa", 1))
    with pytest.raises(UnknownGeneration):
        await engine.apply(OTHER, Changes([document("visa")]))
    await engine.create(OTHER)
    await engine.apply(OTHER, Changes([document("visa")]))
    assert await found(engine, "visa") == []
    await engine.keep_only([OTHER])
    assert not await engine.has(GENERATION)
    assert await engine.count(OTHER) == 1
    await engine.create(OTHER)
    assert await engine.count(OTHER) == 0, "made anew"


@pytest.mark.parametrize(
    "text", ['"visa', "-visa", "visa AND", "visa*", "visa~2", "(visa", "title:visa", "visa\\", "+"]
)
async def test_no_text_is_an_operator(engine: SearchEngine, text: str) -> None:
    await engine.apply(GENERATION, Changes([document("visa")]))
    page = await engine.search(GENERATION, SearchQuery(text, 5, every_word=False))
    assert page.total == (0 if text == "+" else 1)


async def test_nothing_asked_finds_everything_that_the_filters_leave(engine: SearchEngine) -> None:
    await engine.apply(GENERATION, Changes([document("visa"), document("", country=CANADA)]))
    assert len(await found(engine, "")) == 2
    assert len(await found(engine, "", country=CANADA)) == 1
