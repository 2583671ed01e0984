"""Numbers, units and dates compare across languages and scripts."""

from __future__ import annotations

from decimal import Decimal

import pytest

from ai.numbers import Date, Quantity, dates, quantities


@pytest.mark.parametrize(
    "text",
    [
        "EUR 11,904", "11.904 Euro", "11 904 евро", "11'904 euros", "११,९०४ यूरो", "١١٬٩٠٤ يورو",
        "۱۱٬۹۰۴ یورو", "11\u202f904 €", "11904欧元", "11,904유로", "１１，９０４ユーロ",
    ],
)  # fmt: skip
def test_one_amount_in_many_writings(text: str) -> None:
    assert quantities(text) == {Quantity(Decimal(11904), "EUR")}


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("EUR 37.50", "37.50", "EUR"),
        ("37,50 Euro", "37.50", "EUR"),
        ("1,19,040 rupees", "119040", "INR"),
        ("1.234,56 €", "1234.56", "EUR"),
        ("1,234.56 USD", "1234.56", "USD"),
        ("2000만원", "20000000", ""),
        ("5 lakh", "500000", ""),
        ("140 full days", "140", "day"),
        ("140 ganze Tage", "140", "day"),
        ("28時間", "28", "hour"),
        ("80 %", "80", "%"),
        ("sechs Wochen", "6", "week"),
        ("छह सप्ताह", "6", "week"),
        ("十个月", "10", "month"),
        ("C$22,895", "22895", "CAD"),
    ],
)
def test_values_and_units(text: str, value: str, unit: str) -> None:
    assert Quantity(Decimal(value), unit) in quantities(text)


@pytest.mark.parametrize(
    "text",
    ["ended on 1 July 2025", "am 1. Juli 2025", "July 1, 2025", "2025-07-01", "2025年7月1日",
     "1 de julio de 2025", "1 जुलाई 2025 को", "1 июля 2025", "1 يوليو 2025", "2025년 7월 1일"],
)  # fmt: skip
def test_one_date_in_many_writings(text: str) -> None:
    assert dates(text) == {Date(2025, 7, 1)}


def test_months_that_are_words_are_no_dates_alone() -> None:
    assert not dates("you may work and march on")
    assert dates("in May 2025") == {Date(2025, 5, None)}


def test_a_date_agrees_with_one_that_says_more() -> None:
    assert Date(None, 7, 1).agrees(Date(2025, 7, 1))
    assert not Date(2024, 7, 1).agrees(Date(2025, 7, 1))
    assert not Date(2025, 7, 1).agrees(Date(None, 7, 1))
