"""Writing by keyboard alone, and a thread from right to left."""

from __future__ import annotations

import secrets

from playwright.async_api import expect

from tests.e2e.api_client import ApiClient
from tests.e2e.browser.conftest import Visit


async def test_asking_and_answering_need_no_mouse(visit: Visit) -> None:
    writer = await visit(width=1280)
    page, keyboard = writer.page, writer.page.keyboard
    await writer.sign_up()
    await writer.open("/communities/pt-d7/new")
    headline = page.get_by_label("Your question in one line")
    title = f"By keyboard alone {secrets.token_hex(4)}"
    await page.get_by_role("heading", level=1).focus()
    await keyboard.press("Tab")
    await expect(headline).to_be_focused()
    await keyboard.type(title)
    # Who ends the line goes on with the text: a question without one is rarely answered.
    await keyboard.press("Enter")
    body = page.get_by_label("What one should know about it")
    await expect(body).to_be_focused()
    await keyboard.type("It has to work for everybody.")
    await keyboard.press("Tab")
    await expect(page.get_by_label("Tags")).to_be_focused()
    await keyboard.type("keys")
    await keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Remove the tag keys")).to_be_visible()
    publish = page.get_by_role("button", name="Publish")
    for _ in range(4):
        await keyboard.press("Tab")
        if await publish.evaluate("element => element === document.activeElement"):
            break
    await expect(publish).to_be_focused()
    await writer.look("compose-1280")
    await keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1, name=title)).to_be_focused()

    await page.get_by_label("Your comment").focus()
    await keyboard.type("And answering too.")
    await keyboard.press("Control+Enter")
    mine = page.get_by_role("article", name=f"Comment by {writer.handle}")
    await expect(mine).to_contain_text("And answering too.")
    await expect(page.get_by_label("Your comment")).to_have_value("")
    await mine.get_by_role("button", name="Reply").focus()
    await keyboard.press("Enter")
    await expect(mine.get_by_label(f"Answer to {writer.handle}")).to_be_focused()
    await keyboard.press("Escape")
    await expect(mine.get_by_role("button", name="Reply")).to_be_focused()


async def test_a_thread_from_right_to_left(visit: Visit, api: ApiClient) -> None:
    community = (await api.get("/communities/pt-d7")).expect(200)["id"]
    post = await api.post(community, title="كم من الوقت يستغرق الحصول على التأشيرة؟")
    comment = await api.comment(post["id"], "استغرق الأمر خمسة أسابيع في حالتي.")
    await api.comment(post["id"], "Mine took six weeks.", parent_id=comment["id"])
    reader = await visit(width=360, language="ar", theme="dark")
    await reader.open(f"/posts/{post['id']}")
    page = reader.page
    await expect(page.locator("html")).to_have_attribute("dir", "rtl")
    english = page.get_by_text("Mine took six weeks.")
    await expect(english).to_be_visible()
    assert await english.evaluate("element => getComputedStyle(element).direction") == "ltr"
    await reader.look("thread-360-ar-dark")
