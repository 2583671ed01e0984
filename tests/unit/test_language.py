from __future__ import annotations

import pytest

from ai.language import UNDETERMINED, detect


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "I paid the fee twice by mistake, has anyone got a refund from the consulate?"),
        ("de", "Ich habe den Termin bei der Ausländerbehörde verpasst, was soll ich jetzt tun?"),
        ("es", "¿Alguien sabe cuánto tarda la cita para la tarjeta de residencia?"),
        ("fr", "Bonjour, faut-il traduire l'acte de naissance avant le rendez-vous ?"),
        ("pt", "Preciso de seguro de saúde para renovar a autorização de residência?"),
        ("tr", "Vize başvurusu için banka dökümünün kaç aylık olması gerekiyor?"),
        ("ru", "Сколько времени занимает рассмотрение заявления на визу?"),
        ("uk", "Чи потрібно перекладати довідку про доходи німецькою мовою?"),
        ("ar", "كم يستغرق الحصول على موعد في القنصلية هذه الأيام؟"),
        ("fa", "برای مصاحبه ویزا چه مدارکی باید همراه داشته باشم؟"),
        ("hi", "क्या मुझे वीज़ा साक्षात्कार के लिए मूल दस्तावेज़ ले जाने होंगे?"),
        ("zh", "请问递交材料以后大概要等多久才能拿到签证？"),
        ("ja", "在留資格の更新にはどのくらい時間がかかりますか？"),
        ("ko", "비자 신청 후 결과가 나오기까지 얼마나 걸리나요?"),
    ],
)
def test_languages_of_the_communities(language: str, text: str) -> None:
    assert detect(text) == language


@pytest.mark.parametrize(
    "text",
    ["", "  \n", "ok", "Thanks!", "12.03.2026 – 11,208 €", "👍👍👍👍👍👍👍👍👍", "\x00", "\ud800"],
)
def test_too_little_to_tell(text: str) -> None:
    assert detect(text) == UNDETERMINED


@pytest.mark.parametrize(
    "noise",
    [
        "https://www.example.org/the/official/page/about/visas/and/their/fees",
        "[](https://www.example.org/the/official/page/about/visas)",
        "`the quick brown fox jumps over the lazy dog and then sleeps`",
        "```\nthe quick brown fox jumps over the lazy dog and then sleeps\n```",
        "@the_quick_brown_fox someone.with.a.name@example.org",
        "<div class='the quick brown fox jumps over the lazy dog'>",
    ],
)
def test_what_is_no_prose_is_not_judged(noise: str) -> None:
    assert detect(noise) == UNDETERMINED
    assert detect(f"{noise}\n\nBringe bitte alle Unterlagen im Original mit. {noise}") == "de"


def test_chinese_without_kana_is_not_taken_for_japanese() -> None:
    assert detect("恭喜！护照邮寄又花了我四天，记得算进去。") == "zh"


def test_shouting_is_the_same_language() -> None:
    assert detect("WHY DOES NOBODY ANSWER THE PHONE AT THE CONSULATE?") == "en"
