"""What stands around every page: keyboard, tabs of one browser, a lost network, languages."""

from __future__ import annotations

import re
import secrets

from playwright.async_api import expect

from tests.e2e.api_client import ApiClient
from tests.e2e.browser.conftest import Visit


async def test_everything_on_the_way_in_works_by_keyboard_alone(visit: Visit) -> None:
    guest = await visit(width=1280)
    page, keyboard = guest.page, guest.page.keyboard
    await guest.open("/")
    await keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    await expect(skip).to_be_focused()
    await keyboard.press("Enter")
    await expect(page.locator("main")).to_be_focused()
    await keyboard.press("Tab")
    country = page.get_by_role("combobox", name="Where are you going?")
    await expect(country).to_be_focused()
    await keyboard.type("portu")
    await expect(page.get_by_role("option", name="Portugal")).to_be_visible()
    await keyboard.press("Enter")
    await expect(country).to_have_value("Portugal")
    for _ in range(2):
        await keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Open the door")).to_be_focused()
    await keyboard.press("Enter")
    heading = page.get_by_role("heading", level=1, name="Portugal")
    await expect(heading).to_be_focused()

    menu = page.get_by_role("button", name="Account and language")
    await menu.focus()
    await keyboard.press("ArrowDown")
    await expect(page.get_by_role("menuitem").first).to_be_focused()
    await keyboard.press("End")
    await expect(page.get_by_role("menuitem", name="Dark look")).to_be_focused()
    await keyboard.press("Enter")
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await expect(menu).to_be_focused()
    await keyboard.press("Enter")
    await keyboard.press("Escape")
    await expect(page.get_by_role("menu")).to_be_hidden()
    await expect(menu).to_be_focused()


async def test_the_language_is_chosen_once_and_kept(visit: Visit) -> None:
    reader = await visit(width=360, language="fr")
    page = reader.page
    await reader.open("/communities/de-student")
    await page.get_by_role("button", name="Account and language").click()
    await page.get_by_role("menuitem", name="English").click()
    await reader.look("languages-360")
    await page.get_by_role("button", name="Deutsch").click()
    await expect(page.get_by_role("button", name="Beitreten")).to_be_visible()
    await page.reload()
    await expect(
        page.get_by_role("heading", level=1, name=re.compile("Deutschland"))
    ).to_be_visible()
    await expect(page.locator("html")).to_have_attribute("lang", "de")


async def test_tabs_of_one_browser_are_one_session(visit: Visit) -> None:
    member = await visit(width=1280)
    other = await member.context.new_page()
    await other.goto(f"{member.url}/communities/de-student")
    await expect(other.get_by_role("link", name="Join Serai")).to_be_visible()
    await member.sign_up()
    account = other.get_by_role("button", name=f"Account of {member.handle}")
    await expect(account).to_be_visible()
    await account.click()
    await other.get_by_role("menuitem", name="Sign out").click()
    await expect(member.page.get_by_role("link", name="Join Serai")).to_be_visible()
    await member.page.reload()
    await expect(member.page.get_by_role("link", name="Join Serai")).to_be_visible()


async def test_what_came_while_the_network_was_away_is_told_when_it_is_back(
    visit: Visit, api: ApiClient
) -> None:
    community = (await api.get("/communities/nz")).expect(200)["id"]
    await api.post(community, title=f"Before {secrets.token_hex(4)}")
    reader = await visit(width=390)
    page = reader.page
    await reader.open("/communities/nz?sort=new")
    await expect(page.get_by_role("article").first).to_be_visible()
    first = await api.post(community, title=f"Live {secrets.token_hex(4)}")
    await expect(page.get_by_role("button", name="1 new post")).to_be_visible()
    await reader.lose_network()
    await expect(page.get_by_text("No connection.")).to_be_visible()
    titles = [f"Missed {secrets.token_hex(4)}" for _ in range(2)]
    for title in titles:
        await api.post(community, title=title)
    await reader.look("offline-390")
    await reader.find_network()
    await expect(page.get_by_text("No connection.")).to_be_hidden()
    pill = page.get_by_role("button", name="3 new posts")
    await pill.click()
    for title in (*titles, first["title"]):
        await expect(page.get_by_role("link", name=title)).to_be_visible()


async def test_going_back_finds_the_place_again(visit: Visit, api: ApiClient) -> None:
    community = (await api.get("/communities/au")).expect(200)["id"]
    for number in range(12):
        await api.post(community, title=f"Number {number} {secrets.token_hex(3)}")
    reader = await visit(width=390)
    page = reader.page
    await reader.open("/communities/au?sort=new")
    await expect(page.get_by_role("article").first).to_be_visible()
    await page.mouse.wheel(0, 1_400)
    await page.wait_for_function("window.scrollY > 800")  # the browser scrolls when it gets to it
    await expect(page.get_by_role("link", name=re.compile("Number 3"))).to_be_visible()
    before = await page.evaluate("window.scrollY")
    assert before > 800
    await (
        page.get_by_role("navigation", name="Main places")
        .get_by_role("link", name="Explore")
        .click()
    )
    await expect(page.get_by_role("heading", level=1, name="Communities")).to_be_focused()
    assert await page.evaluate("window.scrollY") == 0
    await page.go_back()
    await expect(page.get_by_role("link", name=re.compile("Number 3"))).to_be_visible()
    await page.wait_for_function("y => Math.abs(window.scrollY - y) < 4", arg=before)
