"""What `doctor` says of external Postgres and Redis servers."""

from __future__ import annotations

import pytest

from config.settings import Search
from serve_app import doctor
from storage.probes import PostgresFacts, RedisFacts, probe_postgres, probe_redis
from tests.meilisearch_server import Exchange, no_index, scripted_server

pytestmark = pytest.mark.integration


async def test_good_servers_are_fine(postgres_url: str, redis_url: str) -> None:
    (postgres,) = await doctor.check_postgres(postgres_url)
    (valkey,) = await doctor.check_redis(redis_url)
    assert postgres.level == valkey.level == "ok"
    facts = await probe_postgres(postgres_url)
    assert facts.version >= 16 and "vector" in facts.extensions and facts.writable
    assert (await probe_redis(redis_url)).writable


async def test_a_cluster_answers_as_one(redis_cluster_url: str) -> None:
    assert (await probe_redis(redis_cluster_url)).writable
    (cluster,) = await doctor.check_redis(redis_cluster_url)
    assert cluster.level == "ok"


async def test_what_an_unfit_postgres_lacks_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def old(url: str) -> PostgresFacts:
        return PostgresFacts(15, "15.4", frozenset({"pg_trgm"}), writable=False)

    monkeypatch.setattr(doctor, "probe_postgres", old)
    findings = await doctor.check_postgres("postgresql://db.example/serai")
    told = [(finding.level, finding.what) for finding in findings]
    assert [level for level, _ in told] == ["error", "warning", "error"]
    assert "version 15.4" in told[0][1] and "vector" in told[1][1] and "standby" in told[2][1]


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (RedisFacts((6, 2), writable=True), "version 6.2"),
        (RedisFacts((7, 2), writable=False), "replica"),
    ],
)
async def test_what_an_unfit_redis_lacks_is_said(
    monkeypatch: pytest.MonkeyPatch, facts: RedisFacts, words: str
) -> None:
    async def probe(url: str) -> RedisFacts:
        return facts

    monkeypatch.setattr(doctor, "probe_redis", probe)
    (finding,) = await doctor.check_redis("redis://cache.example")
    assert finding.level == "error" and words in finding.what


async def test_a_password_the_server_refuses_is_an_error_not_a_crash(redis_url: str) -> None:
    refused = redis_url.replace("unix://", "unix://me:secret@")
    (finding,) = await doctor.check_redis(refused)
    assert finding.level == "error" and "secret" not in finding.what


async def test_a_search_server_is_asked_with_its_key_and_missing_it_stops_nothing() -> None:
    unknown = Exchange("GET", "/indexes/serai-0", None, 404, no_index("serai-0"))
    with scripted_server(unknown) as (url, server):
        found = await doctor.check_search(Search(meilisearch_url=url, meilisearch_key="a key"))
        assert found.level == "ok"
        assert server.keys == {"Bearer a key"}
    away = await doctor.check_search(Search(meilisearch_url="http://u:secret@127.0.0.1:9"))
    assert away.level == "warning" and "secret" not in away.what
