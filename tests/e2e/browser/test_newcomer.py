"""The newcomer's way without instructions: front page, account, community, question, answer."""

from __future__ import annotations

import re
import secrets

from playwright.async_api import expect

from tests.e2e.browser.conftest import Visit
from tests.e2e.browser.visitor import PASSWORD


async def test_from_the_front_page_to_an_accepted_answer(visit: Visit) -> None:
    newcomer, helper = await visit(width=360), await visit(width=1280)
    page, theirs = newcomer.page, helper.page
    await newcomer.open("/")
    await page.get_by_role("combobox", name="Where are you going?").fill("Germany")
    await page.get_by_role("option", name="Germany").click()
    await page.get_by_role("combobox", name="What for?").select_option("de-student")
    await page.get_by_role("button", name="Open the door").click()
    await page.get_by_role("button", name="Join", exact=True).click()

    handle = f"newcomer_{secrets.token_hex(5)}"
    # As many write a name; it is kept in small letters.
    await page.get_by_label("Your name here").fill(handle.capitalize())
    await page.get_by_label("E-mail").fill(f"{handle}@mail.example")
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Create an account").click()
    # Back where they were going, by their own name.
    await expect(page.get_by_role("heading", level=1, name=re.compile("Student"))).to_be_visible()
    await page.get_by_role("button", name="Join", exact=True).click()
    await expect(page.get_by_role("button", name="Joined")).to_be_visible()

    await helper.sign_up()
    await helper.open("/communities/de-student?sort=new")
    await expect(theirs.get_by_role("button", name="Join", exact=True)).to_be_visible()
    title = f"How long did the visa take? {secrets.token_hex(4)}"
    await page.get_by_role("link", name="Ask the community").click()
    await page.get_by_label("Your question in one line").fill(title)
    await page.get_by_role("button", name="Publish").click()
    await expect(page.get_by_role("heading", level=1, name=title)).to_be_visible()

    await theirs.get_by_role("button", name=re.compile("new post")).click()
    await theirs.get_by_role("link", name=title).first.click()
    await theirs.get_by_label("Your comment").fill("Seven weeks in Lagos.")
    await theirs.get_by_role("button", name="Send").click()
    answer = page.get_by_role("article", name=f"Comment by {helper.handle}")
    await expect(answer).to_contain_text("Seven weeks in Lagos.")
    await answer.get_by_role("button", name=f"More about the comment by {helper.handle}").click()
    await page.get_by_role("menuitem", name="This answers my question").click()
    await expect(answer).to_contain_text("This answered the question")
    await expect(theirs.get_by_text("This answered the question")).to_be_visible()
    await newcomer.look("newcomer-answered-360")
