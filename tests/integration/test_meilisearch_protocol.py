"""What the adapter sends to Meilisearch and makes of its answers, without Meilisearch.

The exchanges have the shapes of the API reference (indexes, documents, tasks, settings,
multi-search, errors). That Meilisearch does with them what we want is tested by
test_search_engines.py, where a server is named.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import pytest

from config.errors import AppError
from storage.identity import new_id
from storage.search.engine import Changes, SearchDocument, SearchQuery, UnknownGeneration
from storage.search.meilisearch_engine import MeilisearchEngine
from storage.search.meilisearch_requests import SETTINGS
from tests.meilisearch_server import (
    Exchange,
    accepted,
    index_object,
    no_index,
    scripted_server,
    task,
)

pytestmark = pytest.mark.integration

POST: Final = UUID("019e557a-9f00-7114-a443-4573a443b7c9")
ABROAD: Final = UUID("019e557a-9f00-707c-a443-4573a443b7c9")
THERE: Final = Exchange("GET", "/indexes/serai-1", None, 200, index_object("serai-1"))
AT = {"limit": 5, "attributesToRetrieve": ["id", "kind", "created_at"], "showRankingScore": True}


def engine(url: str, *, by_country: bool = False) -> MeilisearchEngine:
    return MeilisearchEngine(url, "a key", by_country=by_country)


def document(id: UUID = POST, country: int = 276) -> SearchDocument:
    return SearchDocument(
        id, "post", id, None, True, country, "student", "pt-BR", "Visa", ("tag",), "text", 5
    )


ENCODED: Final = {
    "id": str(POST), "kind": "post", "post_id": str(POST), "community_id": None, "public": True,
    "country": 276, "visa_type": "student", "language": "pt-br", "root_language": "pt",
    "title": "Visa", "tags": ["tag"], "text": "text", "created_at": 5,
}  # fmt: skip


def _deleted(number: int, name: str, error: Any = None) -> list[Exchange]:
    status = "failed" if error else "succeeded"
    return [
        Exchange("DELETE", f"/indexes/{name}", None, 202, accepted(number, name, "indexDeletion")),
        task(number, name, "indexDeletion", status, error),
    ]


async def test_an_index_is_made_anew_with_its_settings() -> None:
    name = "serai-1"
    with scripted_server(
        *_deleted(4, name, no_index(name)),
        Exchange(
            "POST", "/indexes", {"primaryKey": "id", "uid": name}, 202,
            accepted(5, name, "indexCreation"),
        ),
        task(5, name, "indexCreation", "enqueued"),
        task(5, name, "indexCreation", "processing"),
        task(5, name, "indexCreation"),
        Exchange(
            "PATCH", f"/indexes/{name}/settings", dict(SETTINGS), 202,
            accepted(6, name, "settingsUpdate"),
        ),
        task(6, name, "settingsUpdate"),
    ) as (url, server):  # fmt: skip
        await engine(url).create(1)
        assert server.keys == {"Bearer a key"}


async def test_a_change_is_a_deletion_and_an_addition_both_waited_for() -> None:
    name, gone, thread = "serai-1", new_id(276), new_id(276)
    gone_filter = f'post_id IN ["{thread}"] OR id IN ["{gone}"]'
    with scripted_server(
        THERE,
        Exchange(
            "POST", f"/indexes/{name}/documents/delete", {"filter": gone_filter}, 202,
            accepted(7, name, "documentDeletion"),
        ),
        Exchange(
            "POST", f"/indexes/{name}/documents", [ENCODED], 202,
            accepted(8, name, "documentAdditionOrUpdate"),
        ),
        task(7, name, "documentDeletion"),
        task(8, name, "documentAdditionOrUpdate"),
    ) as (url, _):  # fmt: skip
        await engine(url).apply(1, Changes([document()], [gone], [thread]))


async def test_each_group_of_countries_gets_its_part() -> None:
    def added(number: int, name: str, body: Any) -> Exchange:
        path = f"/indexes/{name}/documents"
        return Exchange(
            "POST", path, [body], 202, accepted(number, name, "documentAdditionOrUpdate")
        )

    canadian = ENCODED | {"id": str(ABROAD), "post_id": str(ABROAD), "country": 124}
    last = "serai-1-g7"
    with scripted_server(
        Exchange("GET", f"/indexes/{last}", None, 200, index_object(last)),
        added(1, "serai-1-c124", canadian),
        added(2, "serai-1-c276", ENCODED),
        task(1, "serai-1-c124", "documentAdditionOrUpdate"),
        task(2, "serai-1-c276", "documentAdditionOrUpdate"),
    ) as (url, _):
        changes = Changes([document(), document(ABROAD, 124)])
        await engine(url, by_country=True).apply(1, changes)


async def test_a_failed_task_is_an_error_and_a_missing_index_unknown() -> None:
    name = "serai-1"
    failure = {
        "message": "Document identifier is invalid.",
        "code": "invalid_document_id",
        "type": "invalid_request",
        "link": "https://docs.meilisearch.com/errors#invalid_document_id",
    }
    sent = Exchange(
        "POST", f"/indexes/{name}/documents", [ENCODED], 202,
        accepted(8, name, "documentAdditionOrUpdate"),
    )  # fmt: skip
    with scripted_server(
        THERE, sent, task(8, name, "documentAdditionOrUpdate", "failed", failure)
    ) as (url, _):
        with pytest.raises(AppError) as refused:
            await engine(url).apply(1, Changes([document()]))
        assert refused.value.code == "internal"
    missing = Exchange("GET", "/indexes/serai-1", None, 404, no_index(name))
    with scripted_server(missing, missing) as (url, _):
        with pytest.raises(UnknownGeneration):
            await engine(url).apply(1, Changes([document()]))
        assert not await engine(url).has(1)


async def test_a_search_names_its_filters_and_reads_scores_and_facets() -> None:
    group = UUID("01a22560-5a44-7000-a59a-a255160be36a")
    body = {
        "indexUid": "serai-1", "q": "visa  letter", **AT,
        "filter": [
            f'public = true OR community_id IN ["{group}"]', 'kind IN ["post", "guide"]',
            "country = 276", 'visa_type = "a \\"b\\""', 'language = "pt-br"', "created_at >= 1",
            "created_at < 9",
        ],
        "matchingStrategy": "all", "sort": ["created_at:desc"],
        "facets": ["kind", "country", "visa_type", "language"],
    }  # fmt: skip
    answer = {
        "results": [
            {
                "indexUid": "serai-1",
                "hits": [
                    {"id": str(POST), "kind": "post", "created_at": 5, "_rankingScore": 0.92}
                ],
                "query": "visa  letter", "processingTimeMs": 26, "limit": 5, "offset": 0,
                "estimatedTotalHits": 22, "facetDistribution": {"kind": {"post": 22}},
                "facetStats": {},
            }
        ]
    }  # fmt: skip
    asked = {"queries": [body], "federation": None}
    with scripted_server(Exchange("POST", "/multi-search", asked, 200, answer)) as (url, _):
        page = await engine(url).search(
            1,
            SearchQuery(
                'visa "letter', 5, (group,), ("post", "guide"), 276, 'a "b"', "pt-BR", 1, 9,
                "new", facets=True,
            ),
        )  # fmt: skip
    assert [(hit.id, hit.kind, hit.score) for hit in page.hits] == [(POST, "post", 5.0)]
    assert page.total == 22
    assert page.facets == {"kind": {"post": 22}}


async def test_all_groups_are_asked_at_once_and_their_answers_merged_by_score() -> None:
    names = [f"serai-1-c{n}" for n in (0, 840, 124, 826, 36, 276, 250, 528, 372)]
    names += [f"serai-1-g{n}" for n in range(8)]
    hits = {
        "serai-1-c276": [(POST, 0.5), (new_id(276), 0.25)],
        "serai-1-c124": [(ABROAD, 0.75)],
    }
    asked = {
        "queries": [
            {
                "indexUid": name, "q": "visa", **AT, "filter": ["public = true"],
                "matchingStrategy": "frequency", "attributesToSearchOn": ["title"],
            }
            for name in names
        ],
        "federation": None,
    }  # fmt: skip
    answer = {
        "results": [
            {
                "indexUid": name,
                "hits": [
                    {"id": str(id), "kind": "post", "created_at": 1, "_rankingScore": score}
                    for id, score in hits.get(name, ())
                ],
                "query": "visa", "processingTimeMs": 1, "limit": 5, "offset": 0,
                "estimatedTotalHits": len(hits.get(name, ())),
            }
            for name in names
        ]
    }  # fmt: skip
    with scripted_server(Exchange("POST", "/multi-search", asked, 200, answer)) as (url, _):
        query = SearchQuery("visa", 5, every_word=False, titles_only=True)
        page = await engine(url, by_country=True).search(1, query)
    assert [hit.score for hit in page.hits] == [0.75, 0.5, 0.25]
    assert page.total == 3


async def test_one_country_is_asked_alone() -> None:
    answer = {"results": [{"indexUid": "serai-1-g0", "hits": [], "estimatedTotalHits": 0}]}
    body = {
        "indexUid": "serai-1-g0", "q": "", **AT, "filter": ["public = true", "country = 40"],
        "matchingStrategy": "all",
    }  # fmt: skip
    asked = {"queries": [body], "federation": None}
    with scripted_server(Exchange("POST", "/multi-search", asked, 200, answer)) as (url, _):
        assert (
            await engine(url, by_country=True).search(1, SearchQuery("", 5, country=40))
        ).total == 0


async def test_others_are_deleted_and_what_is_not_ours_stays() -> None:
    listed = {
        "results": [index_object(n) for n in ("movies", "serai-1", "serai-2", "serai-2-c276")],
        "offset": 0, "limit": 1000, "total": 4,
    }  # fmt: skip
    with scripted_server(
        Exchange("GET", "/indexes?limit=1000", None, 200, listed),
        Exchange("DELETE", "/indexes/serai-1", None, 202, accepted(1, "serai-1", "indexDeletion")),
        task(1, "serai-1", "indexDeletion"),
    ) as (url, _):
        await engine(url).keep_only([2])


@pytest.mark.parametrize(
    ("status", "code"), [(403, "invalid_api_key"), (500, "internal"), (429, None)]
)
async def test_a_server_that_refuses_or_fails_is_away(status: int, code: str | None) -> None:
    error = {"message": "secret of the server", "code": code, "type": "auth", "link": ""}
    failing = Exchange("GET", "/indexes/serai-1", None, status, error)
    with scripted_server(failing) as (url, _), pytest.raises(AppError) as away:
        await engine(url).has(1)
    assert away.value.code == "unavailable"
    assert "secret" not in away.value.detail


async def test_a_server_that_is_not_there_is_away() -> None:
    with pytest.raises(AppError) as away:
        await engine("http://127.0.0.1:9").search(1, SearchQuery("visa", 1))
    assert away.value.code == "unavailable"
