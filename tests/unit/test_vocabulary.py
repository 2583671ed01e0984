"""Topics, countries and visas of questions in many languages."""

from __future__ import annotations

import pytest

from ai import question, vocabulary
from ai.places import mentioned


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How much money must I show for a German student visa?", "en"),
        ("Wie viel Geld brauche ich für das Studentenvisum in Deutschland?", "de"),
        ("¿Cuánto dinero necesito para el visado de estudiante en Alemania?", "es"),
        ("Combien d'argent faut-il pour un visa étudiant en Allemagne ?", "fr"),
        ("जर्मनी के स्टूडेंट वीज़ा के लिए कितने पैसे चाहिए?", "hi"),
        ("كم من المال أحتاج لتأشيرة الطالب في ألمانيا؟", "ar"),
        ("德国留学签证需要多少资金？", "zh"),
        ("Сколько денег нужно для студенческой визы в Германию?", "ru"),
        ("Almanya öğrenci vizesi için ne kadar para gerekli?", "tr"),
        ("독일 학생 비자 자금은 얼마인가요?", "ko"),
        ("ドイツの留学ビザの資金はいくら必要ですか", "ja"),
        ("برای ویزای دانشجویی آلمان چقدر پول لازم است؟", "fa"),
    ],
)
def test_one_question_in_many_languages(text: str, language: str) -> None:
    found = question.parse(text, language)
    assert found.countries == {"DE"}
    assert found.category == "study"
    assert found.topics == {"funds"}
    assert "amount" in found.kinds
    assert found.rest == ()


def test_words_that_no_table_knows_are_left_to_be_found() -> None:
    assert question.parse("Can I bring my dog to Germany?", "en").rest == ("bring", "dog")
    assert question.parse("क्या मैं जर्मनी में कुत्ता ला सकता हूँ?", "hi").rest


def test_origins_are_no_destinations() -> None:
    found = mentioned("I come from India and want to study in Germany")
    assert found.countries == {"DE"}
    assert found.origins == {"IN"}
    assert mentioned("मैं भारत से हूँ, कनाडा जाना है").countries == {"CA"}
    assert mentioned("我来自印度，想去德国").countries == {"DE"}
    assert mentioned("do I have to tell us").countries == frozenset()


def test_the_chosen_country_comes_first() -> None:
    found = question.parse("What is the fee for a Canada study permit?", "en", "DE", "student")
    assert found.countries == {"DE"}
    assert "canada" in found.rest


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("H-1B fee?", ("US", "h-1b")),
        ("h1b fee?", ("US", "h-1b")),
        ("subclass 500 work hours", ("AU", "500")),
        ("Chancenkarte points", ("DE", "chancenkarte")),
        ("PGWP language test", ("CA", "pgwp")),
        ("how long does OPT take", ("US", "f-1-opt")),
    ],
)
def test_visas_by_name_imply_their_country(text: str, code: tuple[str, str]) -> None:
    found = question.parse(text, "en")
    assert code in found.visa_codes
    assert found.countries == {code[0]}


@pytest.mark.parametrize(
    "text",
    ["Is 500 euros enough for a student visa?", "Is B2 enough for a student visa?",
     "How much is the student visa for a German citizen?"],
)  # fmt: skip
def test_sums_levels_and_citizens_imply_no_country(text: str) -> None:
    assert question.parse(text, "en").countries == frozenset()


def test_sums_and_levels_are_visas_where_their_country_is_named() -> None:
    assert question.parse("Australian 500 visa, work hours?", "en").visa_codes == {("AU", "500")}
    assert question.parse("B2 interview in the USA", "en").visa_codes == {("US", "b-2")}
    assert question.parse("Swiss visa for German citizens", "en").countries == {"CH"}


def test_idioms_are_no_topics() -> None:
    assert vocabulary.topics("It took two working days.", "en").names == {"duration"}


def test_cache_forms_ignore_what_changes_nothing() -> None:
    same = {
        question.cache_form(text)
        for text in ("How much IS it??", "how  much is it", "How much is it？")
    }
    assert len(same) == 1
    assert question.cache_form("कितने ११ दिन") == question.cache_form("कितने 11 दिन?")
    assert question.cache_form("can I work") != question.cache_form("can't I work")
