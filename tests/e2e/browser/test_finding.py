"""Finding what is known: search, guides, and the assistant with its sources."""

from __future__ import annotations

import re
import secrets

from playwright.async_api import expect

from tests.conditions import wait_until_async
from tests.e2e.api_client import ApiClient
from tests.e2e.browser.conftest import Visit
from tests.e2e.browser.dump import GUIDE_TITLE

# What is not found is remembered for a while, for each language apart: the page asks in English.
_LANGUAGES = ("de", "es", "fr", "pt", "ar", "zh", "ru", "uk", "tr", "fa", "ja", "ko", "hi")
_QUESTION = "How much savings must form QX52 of the Portuguese D7 visa show?"


async def test_words_are_found_narrowed_and_opened(visit: Visit, api: ApiClient) -> None:
    word = f"notary{secrets.token_hex(4)}"
    post = await api.post("pt-d7", f"The {word} of the court")
    await api.comment(post["id"], f"my {word} took a week")

    async def is_found() -> bool:
        return len((await api.get(f"/search?q={word}")).expect(200)["items"]) == 2

    await wait_until_async(is_found, 120)
    reader = await visit(width=360)
    page = reader.page
    await reader.open("/search")
    await reader.look("search-empty-360")
    field = page.get_by_role("combobox", name="Search")
    await field.press_sequentially(word[:-2])
    await expect(page.get_by_role("option", name=re.compile(word))).to_be_visible()
    await reader.look("search-suggestion-360")
    await field.fill(word)
    await field.press("Enter")
    await expect(page.get_by_text("2 results")).to_be_visible()
    await expect(page.locator("main mark").first).to_have_text(word)
    await reader.look("search-360")
    await page.get_by_role("button", name="Comments", exact=True).click()
    await expect(page.get_by_text("1 result", exact=True)).to_be_visible()
    await page.get_by_role("button", name="Posts", exact=True).click()
    await page.get_by_role("link", name=post["title"]).click()
    await expect(page.get_by_role("heading", level=1, name=post["title"])).to_be_focused()
    await page.go_back()
    await expect(page.get_by_text("1 result", exact=True)).to_be_visible()
    wide = await visit(width=1280, theme="dark")
    await wide.open(f"/search?q={word}")
    await expect(wide.page.get_by_text("2 results")).to_be_visible()
    await wide.look("search-1280-dark")


async def test_the_assistant_shows_what_it_stands_on(
    visit: Visit, api: ApiClient, imported: None
) -> None:
    languages = iter(_LANGUAGES)

    async def is_indexed() -> bool:
        found = (await api.get("/search?q=QX52&kind=guide")).expect(200)
        return bool(found["items"])

    async def is_answered() -> bool:
        body = {"question": _QUESTION, "language": next(languages)}
        answer = await api.call("POST", "/ask", body, headers={"Accept": "application/json"})
        return bool(answer.expect(200)["mode"] != "not_found")

    await wait_until_async(is_indexed, 120)
    await wait_until_async(is_answered, 120)
    member = await visit(width=360)
    await member.sign_up()
    page = member.page
    await member.open("/ask")
    await member.look("ask-empty-360")
    await page.get_by_label("Your question").fill(_QUESTION)
    await page.get_by_label("Your question").press("Enter")
    answer = page.get_by_role("region", name="Answer", exact=True)
    await expect(answer).to_contain_text("EUR 10,440")
    await member.look("ask-360")
    cited = answer.get_by_role("button", name=re.compile(r"Source \d+")).first
    number = (await cited.inner_text()).strip()
    await cited.click()
    source = page.locator(f"#source-{number}")
    await expect(source).to_be_focused()
    await expect(source).to_contain_text("Official")
    await answer.get_by_role("button", name="Yes", exact=True).click()
    await expect(answer.get_by_text("Thank you.")).to_be_visible()
    await source.get_by_role("link", name=GUIDE_TITLE).click()
    await expect(page.get_by_role("heading", level=1, name=GUIDE_TITLE)).to_be_focused()
    await member.look("guide-360")
    await expect(page.get_by_role("link", name="The official page")).to_have_attribute(
        "href", "https://www.aima.gov.pt/"
    )
    wide = await visit(width=1280, theme="dark")
    await wide.open("/ask?q=zzqj")
    await wide.page.get_by_role("button", name="Ask", exact=True).click()
    await expect(wide.page.get_by_role("region", name="Answer", exact=True)).to_have_attribute(
        "aria-busy", "false"
    )
    await wide.look("ask-nothing-1280-dark")
