"""The way in: front page, community, an account, and back to where one was."""

from __future__ import annotations

import re
import secrets

import pytest
from playwright.async_api import expect

from tests.e2e.api_client import ApiClient
from tests.e2e.browser.conftest import Visit


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_a_newcomer_finds_their_community_and_joins(visit: Visit, theme: str) -> None:
    guest = await visit(width=360, theme=theme)
    page = guest.page
    await guest.open("/")
    await guest.look(f"front-360-{theme}")
    await page.get_by_role("combobox", name="Where are you going?").fill("germ")
    await page.get_by_role("option", name="Germany").click()
    await page.get_by_role("combobox", name="What for?").select_option("de-student")
    await page.get_by_role("button", name="Open the door").click()
    heading = page.get_by_role("heading", level=1, name=re.compile("Germany · Student"))
    await expect(heading).to_be_focused()
    await expect(page).to_have_title(re.compile("Germany · Student.*Serai"))
    await guest.look(f"community-360-{theme}")

    await page.get_by_role("button", name="Join", exact=True).click()
    await expect(page.get_by_role("heading", level=1, name="Come in")).to_be_focused()
    await guest.look(f"register-360-{theme}")
    await page.get_by_label("Your name here").fill("no spaces allowed")
    await page.get_by_label("E-mail").fill("somebody@mail.example")
    await page.get_by_label("Password", exact=True).fill("short")
    await page.get_by_role("button", name="Create an account").click()
    await expect(page.get_by_label("Your name here")).to_be_focused()


async def test_joining_survives_a_reload(visit: Visit) -> None:
    member = await visit(width=1280)
    page = member.page
    await member.sign_up()
    await member.open("/communities/de-student")
    await page.get_by_role("button", name="Join", exact=True).click()
    await expect(page.get_by_role("button", name="Joined")).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("button", name="Joined")).to_be_visible()
    await member.look("community-1280-member")
    await page.get_by_role("link", name="Home", exact=True).first.click()
    await expect(page.get_by_role("heading", level=1)).to_be_focused()
    await member.look("home-1280")
    await page.get_by_role("button", name=f"Account of {member.handle}").click()
    await page.get_by_role("menuitem", name="Sign out").click()
    await expect(page.get_by_role("link", name="Join Serai")).to_be_visible()


async def test_new_posts_are_announced_and_nothing_moves(visit: Visit, api: ApiClient) -> None:
    community = (await api.get("/communities/jp")).expect(200)["id"]
    first = await api.post(community, title=f"The first {secrets.token_hex(4)}")
    reader = await visit(width=390)
    page = reader.page
    await reader.open("/communities/jp?sort=new")
    await expect(page.get_by_role("link", name=first["title"])).to_be_visible()
    before = await page.get_by_role("link", name=first["title"]).bounding_box()
    second = await api.post(community, title=f"What came {secrets.token_hex(4)}")
    pill = page.get_by_role("button", name=re.compile("1 new post"))
    await expect(pill).to_be_visible()
    assert await page.get_by_role("link", name=first["title"]).bounding_box() == before
    await reader.look("community-new-post")
    await pill.click()
    await expect(page.get_by_role("link", name=second["title"])).to_be_visible()
    await expect(pill).to_be_hidden()


async def test_arabic_is_right_to_left_and_unknown_addresses_say_so(visit: Visit) -> None:
    reader = await visit(width=360, language="ar")
    page = reader.page
    await reader.open("/")
    await expect(page.locator("html")).to_have_attribute("dir", "rtl")
    await reader.look("front-360-ar")
    reader.allow("404")
    await reader.open("/no/such/page")
    await reader.look("not-found-ar")


async def test_what_is_fetched_early_is_what_the_pages_ask_for(
    visit: Visit, api: ApiClient
) -> None:
    """src/app/early.ts repeats addresses of the API: one that differs would be fetched twice."""
    community = (await api.get("/communities/de-student")).expect(200)["id"]
    post = await api.post(community, title=f"Early {secrets.token_hex(4)}")
    guest = await visit()
    asked: list[str] = []
    guest.page.on("request", lambda request: asked.append(request.url))
    for path in ("/", "/communities/de-student", f"/posts/{post['id']}"):
        asked.clear()
        await guest.open(path)
        await guest.page.wait_for_load_state("networkidle")
        early = [url for url in asked if "/feed" in url or "/posts/" in url or "/countries" in url]
        early = [url for url in early if "/api/" in url]
        assert early and len(early) == len(set(early)), asked
        assert await guest.page.evaluate("Object.keys(window.seraiEarly)") == []
