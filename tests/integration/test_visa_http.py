"""Timelines, their statistics and official pages over HTTP, as a page of the frontend asks."""

from __future__ import annotations

from typing import Any

import pytest

from serve_app.api.headers import POSITION
from storage.seed import seed
from tests.gateway_app import free_port, problem_of
from tests.integration.people import World, pool, world
from tests.integration.test_documented_codes import api, headers_of

__all__ = ["pool", "world"]

pytestmark = pytest.mark.integration

TIMELINES = "/api/v1/timelines"


async def test_a_case_is_recorded_decided_and_counted(world: World) -> None:
    async with world.pool.acquire() as connection:
        await seed(connection)
    ada, ben = [headers_of(await world.register(handle)) for handle in ("ada", "ben")]
    first = {"kind": "application_submitted", "date": "2026-03-05"}
    body = {"country": "PT", "visa_type": "d7", "consulate": "Luanda", "events": [first]}
    async with api(world, free_port()) as session:

        async def ask(method: str, path: str, status: int = 200, **sent: Any) -> Any:
            async with session.request(method, path, **sent) as answer:
                assert answer.status == status, await answer.text()
                if status >= 400:
                    return await problem_of(answer)
                return await answer.json() if status != 204 else None

        types = await ask("GET", "/api/v1/visa-types?country=PT")
        known = {each["code"]: each["official_url"] for each in types["items"]}
        code = body["visa_type"] = next(iter(known))
        for _ in range(2):
            sent = ada | {"Idempotency-Key": "one application"}
            made = await ask("POST", TIMELINES, 201, json=body, headers=sent)
        (mine,) = (await ask("GET", f"{TIMELINES}?mine=true", headers=ada))["items"]
        assert mine == made | {"days": mine["days"]}  # the clock of writes stands still here
        wrong = body | {"events": [first | {"date": "2026-02-30"}]}
        problem = await ask("POST", TIMELINES, 400, json=wrong, headers=ada)
        assert problem["errors"][0]["path"] == "events[0].date"
        await ask("POST", TIMELINES, 401, json=body)

        path = f"{TIMELINES}/{made['id']}"
        position = await ask("GET", f"{path}/position", headers=ada)
        assert position["waited_days"] == mine["days"] and not position["sufficient"]
        await ask("GET", f"{path}/position", 403, headers=ben)
        events = [first, {"kind": "decision_approved", "date": "2026-06-01"}]
        change = {"events": events, "revision": 1}
        async with session.patch(path, json=change, headers=ada) as answer:
            assert (await answer.json())["days"] == 88
            written = {POSITION: answer.headers[POSITION]}
        shown = await ask("GET", path, headers=written)
        assert (shown["form"], shown["status"], shown["consulate"]) == ("public", "approved", None)
        assert "2026-06-01" not in str(shown)

        query = f"country=PT&visa_type={code}&from=2026-03&to=2026-03"
        page = await ask("GET", f"{TIMELINES}/statistics?{query}", headers=written)
        assert (page["n"], page["events"], page["sufficient"]) == (1, 1, False)
        for faulty in ("country=PT&from=2026-13", "country=PT&to=03-2026", "visa_type=d7"):
            await ask("GET", f"{TIMELINES}/statistics?{faulty}", 400)
        async with session.get(f"{TIMELINES}/statistics.csv?{query}") as table:
            assert table.content_type == "text/csv"
            assert await table.text() == "days,waiting,lower,upper,at_risk,decided\n"
            again = {"If-None-Match": table.headers["ETag"]}
        async with session.get(f"{TIMELINES}/statistics.csv?{query}", headers=again) as table:
            assert table.status == 304
        await ask("DELETE", path, 204, headers=ada)
        assert (await ask("GET", f"{TIMELINES}?mine=true", headers=ada))["items"] == []

        links = await ask("GET", f"/api/v1/official-links?country=PT&visa_type={code}")
        assert known[code] in [link["url"] for link in links["items"]]
        assert {link["freshness"] for link in links["items"]} == {"stale"}
        assert (await ask("GET", "/api/v1/checklists?country=PT"))["items"] == []
