"""Writing by keyboard alone, and a thread from right to left."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from playwright.async_api import FilePayload, expect

from tests import media_files as files
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


async def test_files_of_a_private_group_open_for_its_members(visit: Visit, api: ApiClient) -> None:
    """Links and pictures send no token, and are refused until they are fetched with one."""
    group = {"name": f"Leases {secrets.token_hex(4)}", "visibility": "private"}
    slug = (await api.call("POST", "/communities", group)).expect(201)["slug"]
    writer = await visit()
    writer.allow("status of 404")
    page = writer.page
    await writer.sign_in(api.account["handle"])
    await writer.open(f"/communities/{slug}/new")
    await page.get_by_label("Your question in one line").fill("Is this a usual lease?")
    attached: list[FilePayload] = [
        {"name": "Verträge.pdf", "mimeType": "application/pdf", "buffer": files.document()},
        {"name": "door.jpg", "mimeType": "image/jpeg", "buffer": files.picture()},
    ]
    await page.locator("input[type=file]").set_input_files(attached)
    body = page.get_by_label("What one should know about it")
    await expect(body).to_have_value(re.compile(r"\[Verträge\.pdf\].*!\[door\.jpg\]", re.DOTALL))
    await page.get_by_role("button", name="Publish").click()

    document = page.get_by_role("link", name="Verträge.pdf")
    async with page.expect_download() as saving:
        await document.click()
    saved = await saving.value
    assert saved.suggested_filename == "Verträge.pdf"
    path = str(await document.get_attribute("href")).removeprefix("/api/v1")
    content = (await api.get(path)).body
    assert Path(await saved.path()).read_bytes() == content != b""

    picture = page.get_by_role("img", name="door.jpg")
    await expect(picture).to_have_attribute("src", re.compile("^blob:"))
    async with writer.context.expect_page() as opening:
        await picture.click()
    whole = await opening.value
    await whole.wait_for_url("blob:**")
    assert await whole.locator("img").evaluate("image => image.naturalWidth") == 1200
