"""Found by meaning, through a whole server with its own model."""

from __future__ import annotations

from urllib.parse import quote

from tests.conditions import wait_until_async
from tests.e2e.api_client import COMMUNITY, ApiClient


async def test_a_question_is_found_in_another_language_until_it_is_removed(
    ada: ApiClient, guest: ApiClient
) -> None:
    title = "Landlord in Kassel refuses the registration of my address, what now?"
    post = await ada.post(title=title)
    asked = quote("Vermieter in Kassel verweigert die Anmeldung meiner Adresse, was nun?")

    async def similar() -> dict[str, float]:
        path = f"/posts/similar?title={asked}&community_id={COMMUNITY}"
        items = (await guest.get(path)).expect(200)["items"]
        return {item["post"]["id"]: item["similarity"] for item in items}

    async def found() -> bool:
        return post["id"] in await similar()

    # Indexed, embedded by the AI worker, whose model is loaded for it, and found.
    await wait_until_async(found, 120)
    page = (await guest.get(f"/search?q={asked}&country=DE&meaning=true")).expect(200)
    assert post["id"] in [item["id"] for item in page["items"]]
    (await ada.call("DELETE", f"/posts/{post['id']}")).expect(204)
    assert post["id"] not in await similar()
    page = (await guest.get(f"/search?q={asked}&country=DE&meaning=true")).expect(200)
    assert post["id"] not in [item["id"] for item in page["items"]]
