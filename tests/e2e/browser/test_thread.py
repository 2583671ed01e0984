"""A thread with two people in it: live answers, a break in the network, an accepted answer."""

from __future__ import annotations

import re

from playwright.async_api import expect

from tests.e2e.api_client import ApiClient
from tests.e2e.browser.conftest import Visit


async def test_an_answer_comes_live_and_is_accepted(visit: Visit, api: ApiClient) -> None:
    asker, helper = await visit(width=360), await visit(width=1280)
    await asker.sign_in(api.account["handle"])
    await helper.sign_up()
    community = (await api.get("/communities/de-student")).expect(200)["id"]
    post = await api.post(community, title="Which bank for the blocked account?")

    await asker.open(f"/posts/{post['id']}")
    await helper.open(f"/posts/{post['id']}")
    await expect(asker.page.get_by_text("2 are reading")).to_be_visible()
    await helper.page.get_by_label("Your comment").press_sequentially("Any of **the usual** three")
    await expect(asker.page.get_by_text(f"@{helper.handle} is writing")).to_be_visible()
    await helper.page.get_by_role("button", name="Send").click()
    answer = asker.page.get_by_role("article", name=f"Comment by {helper.handle}")
    await expect(answer).to_contain_text("Any of the usual three")
    await expect(answer.locator("strong")).to_have_text("the usual")
    await expect(asker.page.get_by_text("is writing")).to_be_hidden()

    await answer.get_by_role("button", name="Reply").click()
    await answer.get_by_label(f"Answer to {helper.handle}").fill("Thank you!")
    await answer.get_by_role("button", name="Reply").last.click()
    thanks = helper.page.get_by_role("article", name=f"Comment by {asker.handle}")
    await expect(thanks).to_contain_text("Thank you!")
    await expect(thanks).to_contain_text("asked")

    await answer.get_by_role("button", name=f"More about the comment by {helper.handle}").click()
    await asker.page.get_by_role("menuitem", name="This answers my question").click()
    await expect(answer).to_contain_text("This answered the question")
    await expect(helper.page.get_by_text("This answered the question")).to_be_visible()
    await expect(helper.page.get_by_role("button", name="To the answer")).to_be_visible()
    await asker.look("thread-360")
    await helper.look("thread-1280")

    await answer.get_by_role("link", name=f"@{helper.handle}").click()
    page = asker.page
    await expect(page.get_by_role("heading", level=1)).to_have_text(helper.handle)
    await expect(page.get_by_text("No posts yet")).to_be_visible()
    await page.get_by_role("button", name="Mute", exact=True).click()
    await expect(page.get_by_role("button", name="Unmute")).to_be_visible()
    await page.get_by_role("button", name=f"Account of {asker.handle}").click()
    await page.get_by_role("menuitem", name=f"@{asker.handle}").click()
    await expect(
        page.get_by_role("link", name="Which bank for the blocked account?")
    ).to_be_visible()


async def test_what_is_written_without_a_network_arrives_once(visit: Visit, api: ApiClient) -> None:
    community = (await api.get("/communities/de-student")).expect(200)["id"]
    post = await api.post(community, title="Is the consulate open on Monday?")
    writer = await visit()
    await writer.sign_up()
    page = writer.page
    await writer.open(f"/posts/{post['id']}")
    await expect(page.get_by_label("Your comment")).to_be_visible()

    await writer.lose_network()
    await page.get_by_label("Your comment").fill("It is closed on Mondays.")
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_text("Kept here until there is a connection.")).to_be_visible()
    await writer.look("thread-offline")
    missed = await api.comment(post["id"], "Written while you were away.")
    await writer.find_network()

    mine = page.get_by_role("article", name=f"Comment by {writer.handle}")
    await expect(mine).to_have_count(1)
    await expect(mine).to_contain_text("It is closed on Mondays.")
    await expect(page.locator(f"#comment-{missed['id']}")).to_be_visible()
    await expect(page.get_by_text("Kept here")).to_be_hidden()
    items = (await api.get(f"/posts/{post['id']}/comments")).expect(200)["items"]
    assert sorted(item["body_markdown"] for item in items) == [
        "It is closed on Mondays.",
        "Written while you were away.",
    ]

    # On a shared phone what one has not sent yet is neither shown to the next one nor sent as them.
    writer.allow("ERR_FAILED")
    await page.route("**/comments", lambda route: route.abort())
    await page.get_by_label("Your comment").fill("Mine alone.")
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_text("Kept here until there is a connection.")).to_be_visible()
    await page.get_by_label("Your comment").fill("Half a sentence")
    await page.wait_for_function(
        "() => Object.values(localStorage).some(text => text === 'Half a sentence')"
    )
    await page.get_by_role("button", name=f"Account of {writer.handle}").click()
    await page.get_by_role("menuitem", name="Sign out").click()
    await expect(page).to_have_url(f"{writer.url}/")
    await page.unroute("**/comments")
    await page.go_back()
    await page.get_by_role("main").get_by_role("link", name="Sign in").click()
    await writer.enter(api.account["handle"])
    await expect(page.get_by_label("Your comment")).to_have_value("")
    await expect(page.get_by_text("Mine alone.")).to_have_count(0)
    assert len((await api.get(f"/posts/{post['id']}/comments")).expect(200)["items"]) == 2


async def test_a_link_to_a_comment_shows_it_and_a_draft_survives(
    visit: Visit, api: ApiClient
) -> None:
    community = (await api.get("/communities/jp")).expect(200)["id"]
    post = await api.post(community, title="How long did the certificate take?")
    comment = await api.comment(post["id"], "Five weeks for me.")
    reply = await api.comment(post["id"], "And six for me.", parent_id=comment["id"])
    reader = await visit(width=360, theme="dark")
    page = reader.page
    await reader.sign_up()
    await reader.open(f"/posts/{post['id']}/comments/{reply['id']}")
    linked = page.locator(f"#comment-{reply['id']}")
    await expect(linked).to_be_in_viewport()
    await expect(linked.get_by_role("article")).to_be_focused()
    await reader.look("thread-linked-360-dark")

    await page.get_by_label("Your comment").fill("Half a sentence")
    await page.get_by_role("button", name="Fold the replies").click()
    await expect(linked).to_be_hidden()
    await expect(page.get_by_role("button", name=re.compile("1 reply"))).to_be_visible()
    # Kept a moment after the last key: a crash later than that loses nothing.
    await page.wait_for_function(
        "() => Object.keys(localStorage).some(key => key.startsWith('serai.draft.'))"
    )
    await page.reload()
    await expect(page.get_by_label("Your comment")).to_have_value("Half a sentence")
