"""Tools around a visa: own and others' timelines, waiting times, checklists, official pages."""

from __future__ import annotations

import re

from playwright.async_api import expect

from tests.e2e.browser.conftest import Visit


async def test_an_application_is_recorded_and_counted(visit: Visit, imported: None) -> None:
    member = await visit(width=360)
    # Of the consulate's name, which the server judges.
    member.allow("400")
    await member.sign_up()
    page = member.page
    await member.open("/communities/pt-d7/timelines")
    decided = page.get_by_role("listitem").filter(has_text="Approved")
    await expect(decided.first).to_be_visible()
    await member.look("timelines-360")
    await page.get_by_role("button", name="Record your application").click()
    await page.get_by_label("Consulate or office").fill("...")
    await page.get_by_label("Day").fill("2026-02-02")
    await page.get_by_role("button", name="Add a step").click()
    await page.get_by_label("Event").nth(1).select_option("biometrics")
    await page.get_by_label("Day").nth(1).fill("2026-01-01")
    await member.look("timeline-form-360")
    await page.get_by_role("button", name="Save").click()
    too_early = page.get_by_role("alert").filter(has_text="Nothing comes before the application.")
    await expect(too_early).to_be_visible()
    await page.get_by_label("Day").nth(1).fill("2026-02-20")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("with at least one letter")).to_be_visible()
    await page.get_by_label("Consulate or office").fill("New Delhi")
    await page.get_by_role("button", name="Save").click()
    own = page.get_by_role("article", name="Your application")
    await expect(own).to_contain_text("Biometrics")
    await expect(own).to_contain_text("comparable cases")
    await expect(own).to_contain_text("Compared with the cases of New Delhi")
    await expect(own).to_contain_text("From members who chose to record their case")
    await member.look("timeline-own-360")

    await page.get_by_role("link", name="Waiting times").click()
    await expect(page.get_by_text("Half decided within")).to_be_visible()
    await expect(page.locator(".uplot")).to_be_visible()
    await page.get_by_text("The numbers as a table").click()
    await expect(page.get_by_role("columnheader", name="Decided")).to_be_visible()
    await member.look("statistics-360")
    csv = await page.get_by_role("link", name="Download as CSV").get_attribute("href")
    file = await page.request.get(f"{member.url}{csv}")
    assert file.status == 200 and "text/csv" in file.headers["content-type"]
    wide = await visit(width=1280, theme="dark", language="ar")
    await wide.open("/communities/pt-d7/statistics")
    await expect(wide.page.locator(".uplot")).to_be_visible()
    await wide.look("statistics-1280-ar-dark")
    await wide.open("/communities/pt-d8/statistics")
    await wide.look("statistics-few-1280-ar-dark")


async def test_few_cases_say_nothing(visit: Visit) -> None:
    reader = await visit(width=360, theme="dark")
    page = reader.page
    await reader.open("/communities/pt-d8/statistics")
    await expect(page.get_by_text("Too few cases to say")).to_be_visible()
    await reader.look("statistics-few-360-dark")
    await page.get_by_role("link", name="Timelines").click()
    await expect(page.get_by_text("Nobody has recorded anything yet")).to_be_visible()
    await reader.look("timelines-empty-360-dark")


async def test_ticks_stay_and_official_pages_are_listed(visit: Visit, imported: None) -> None:
    member = await visit(width=360)
    await member.sign_up()
    page = member.page
    await member.open("/communities/pt-d7/checklist")
    await page.get_by_label("Form QX52").click()
    await expect(page.get_by_text("1 of 3 done")).to_be_visible()
    await member.look("checklist-360")
    await page.reload()
    await expect(page.get_by_label("Form QX52")).to_be_checked()
    await page.get_by_role("link", name="Official links").click()
    await expect(page.get_by_role("link", name=re.compile("vistos.mne.gov.pt"))).to_be_visible()
    await member.look("links-360")
    await page.get_by_role("link", name="Members").click()
    await expect(page.get_by_role("heading", level=1, name="Members")).to_be_focused()
    await member.look("members-360")
