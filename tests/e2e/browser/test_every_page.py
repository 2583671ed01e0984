"""Every address of the app, opened as a member and as a guest: shown whole on a phone, usable for
everybody by axe in both themes, without an error in the console."""

from __future__ import annotations

import re
import secrets

from playwright.async_api import expect

from serve_app.site.pages import PATHS
from tests.e2e.api_client import ApiClient
from tests.e2e.browser.conftest import Visit
from tests.e2e.browser.visitor import Visitor

# Tested with what it needs: operators import guides.
ELSEWHERE = {"guide"}
# A member is sent on from these.
FOR_GUESTS = {"login", "register"}


async def look_at(visitor: Visitor, name: str, path: str) -> None:
    await visitor.open(path)
    # What is still on its way would be judged as empty.
    await expect(visitor.page.locator(".skeleton")).to_have_count(0)
    await visitor.look(name)
    await visitor.page.evaluate("document.documentElement.dataset.theme = 'dark'")
    await visitor.look(f"{name}-dark")


async def test_every_page_is_whole_on_a_phone(visit: Visit, api: ApiClient) -> None:
    post = await api.post("de-student", title=f"Every page {secrets.token_hex(4)}")
    comment = await api.comment(post["id"])
    values = {"community": "de-student", "post": post["id"], "comment": comment["id"]}
    values["handle"] = api.account["handle"]
    member, guest = await visit(width=360), await visit(width=360)
    await member.sign_up()
    for name, template in PATHS.items():
        if name in ELSEWHERE:
            continue
        path = re.sub(r"\{(\w+)\}", lambda found: values[found[1]], template)
        visitor = guest if name in FOR_GUESTS else member
        await look_at(visitor, f"every-{name}", path)


async def test_every_page_has_room_from_right_to_left(visit: Visit, api: ApiClient) -> None:
    """Guests see what is public, and where they would have to sign in, a way to do so."""
    post = await api.post("de-student", title=f"Every page {secrets.token_hex(4)}")
    comment = await api.comment(post["id"])
    values = {"community": "de-student", "post": post["id"], "comment": comment["id"]}
    values["handle"] = api.account["handle"]
    guest = await visit(width=360, language="ar")
    for name, template in PATHS.items():
        if name in ELSEWHERE:
            continue
        path = re.sub(r"\{(\w+)\}", lambda found: values[found[1]], template)
        await guest.open(path)
        await expect(guest.page.locator("html")).to_have_attribute("dir", "rtl")
        broader = await guest.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert broader <= 0, f"{name}: {broader} px broader than the screen"
        text = await guest.page.locator("body").inner_text()
        assert not re.search(r"\b[a-z_]+\.[a-z]+_[a-z_]+\b|\{\w+\}", text), f"{name}: a raw message"
