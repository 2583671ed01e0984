"""What is the member's own: notifications, settings, and groups that they run."""

from __future__ import annotations

import re
import secrets

from playwright.async_api import expect

from tests.e2e.api_client import ApiClient
from tests.e2e.browser.conftest import Visit


async def test_an_answer_is_told_of_until_it_is_read(visit: Visit, api: ApiClient) -> None:
    asker = await visit(width=360)
    await asker.sign_up()
    page = asker.page
    await asker.open("/notifications")
    await expect(page.get_by_text("Nothing new")).to_be_visible()
    await asker.look("notifications-empty-360")
    token = await page.evaluate(
        "fetch('/api/v1/auth/refresh', {method: 'POST'}).then(a => a.json())"
        ".then(a => a.access_token)"
    )
    title = f"Who has done it? {secrets.token_hex(4)}"
    headers = {"Authorization": f"Bearer {token}"}
    body = {"community_id": "pt-d7", "title": title, "body_markdown": "Anybody?"}
    made = await api.call("POST", "/posts", body, headers=headers)
    post = made.expect(201)
    comment = await api.comment(post["id"], "I have.")
    told = page.get_by_role("link", name=f"@{api.account['handle']} answered you")
    await expect(told).to_be_visible()
    await expect(page.get_by_role("listitem").filter(has=told)).to_contain_text(title)
    unread = page.get_by_role("navigation", name="Main places").get_by_text("1", exact=True)
    await expect(unread).to_be_visible()
    await asker.look("notifications-360")
    await page.get_by_role("button", name="Mark all as read").click()
    await expect(unread).to_be_hidden()
    await told.click()
    await expect(page.locator(f"#comment-{comment['id']}")).to_be_in_viewport()


async def test_name_and_languages_are_kept_and_data_can_be_taken(visit: Visit) -> None:
    member = await visit(width=360, theme="dark")
    await member.sign_up()
    page = member.page
    await member.open("/settings")
    await page.get_by_label("Name that others see").fill("Amina from Pune")
    await page.get_by_role("button", name="Hindi").click()
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Saved.")).to_be_visible()
    await member.look("settings-360-dark")
    await page.reload()
    await expect(page.get_by_label("Name that others see")).to_have_value("Amina from Pune")
    await expect(page.get_by_role("button", name="Hindi")).to_have_attribute("aria-pressed", "true")
    for part, name in (("Kept", "saves"), ("Drafts", "drafts")):
        await page.get_by_role("navigation", name="Parts").get_by_role("link", name=part).click()
        await expect(page.get_by_role("region", name=part).get_by_role("heading")).to_be_visible()
        await member.look(f"settings-{name}-360-dark")
    await page.get_by_role("link", name="Your data").click()
    await page.get_by_role("button", name="Make the file").click()
    ready = page.get_by_role("link", name=re.compile("Download"))
    await expect(ready).to_be_visible()
    await member.look("settings-data-360-dark")
    file = await page.request.get(f"{member.url}{await ready.get_attribute('href')}")
    assert file.status == 200 and (await file.body()).startswith(b"PK")
    await page.get_by_role("button", name="Delete the account").click()
    await expect(page.get_by_role("dialog").get_by_label("Your password")).to_be_visible()
    await member.look("settings-delete-360-dark")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="Delete the account")).to_be_focused()


async def test_a_private_group_lets_somebody_in(visit: Visit) -> None:
    admin, stranger = await visit(width=1280), await visit(width=360)
    # The feed is asked for beside the group itself, before it is known who may read it.
    stranger.allow("404")
    await admin.sign_up()
    await stranger.sign_up()
    page = admin.page
    name = f"Flatmates {secrets.token_hex(4)}"
    await admin.open("/groups/new")
    await admin.look("group-new-1280")
    await page.get_by_label("Name", exact=True).fill(name)
    await page.get_by_role("radio", name="Those who ask").check()
    await page.get_by_role("button", name="Make the group").click()
    await expect(page.get_by_role("heading", level=1, name="Members")).to_be_focused()
    await expect(page.get_by_text("Admin", exact=True)).to_be_visible()
    address = page.url.removeprefix(admin.url).removesuffix("/members")

    await stranger.open(address)
    await expect(stranger.page.get_by_text("Only members read this group.")).to_be_visible()
    await stranger.look("group-closed-360")
    await stranger.page.get_by_role("button", name="Ask to join").click()
    asked = stranger.page.get_by_role("button", name="Asked to join")
    await expect(asked).to_be_visible()
    await stranger.page.reload()
    await expect(asked).to_be_disabled()

    request = page.get_by_role("region", name="1 asks to join")
    await expect(request).to_contain_text(stranger.handle)
    await admin.look("group-members-1280")
    await request.get_by_role("button", name="Let in").click()
    await expect(request).to_be_hidden()
    await expect(stranger.page.get_by_role("button", name="Joined")).to_be_visible()
    await stranger.page.get_by_role("link", name="Ask the community").click()
    title = f"Who brings a pan? {secrets.token_hex(4)}"
    await stranger.page.get_by_label("Your question in one line").fill(title)
    await stranger.page.get_by_role("button", name="Publish").click()
    await expect(stranger.page.get_by_role("heading", level=1, name=title)).to_be_visible()
    await stranger.look("group-thread-360")
