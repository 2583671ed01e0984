"""Which titles count as the same question: the arithmetic, and the default model's scale."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actors.overlap import most_alike, overlap
from actors.similarity import SHOWN_FROM, similarity
from ai.embedder import Embedder, load_model
from config.embedding import Embedding

FROM = Embedding().same_title_from
ASKED_BEFORE = (
    "Blocked account opened but the confirmation shows 11,208, is that still enough?",
    "Transferred schools: do I pay I-901 again?",
    "US citizen, I can enter without a visa, right? And apply there?",
    "Ankara: öğrenci vizesi kaç haftada çıktı?",
    "DS-160 里的社交媒体账号，微信要填吗？",
)
SAME = (
    ("Blocked account shows old amount, do I have to top up?", 0),
    ("Do I have to pay SEVIS I-901 again after transferring to another school?", 1),
    ("Can US citizens enter Germany without visa and apply for the student permit there?", 2),
    ("Ankara'dan öğrenci vizesi ne kadar sürede çıkıyor?", 3),
    ("DS-160 要不要填微信账号？", 4),
)
NEW = (
    "Can I bring my dog to Germany on a student visa?",
    "How much is the semester fee in Cologne?",
    "Öğrenci yurdu için ne zaman başvurmalıyım?",
    "签证照片尺寸是多少？",
    "Student visa",
)


@pytest.fixture(scope="module")
def embedder() -> Iterator[Embedder]:
    made = Embedder(lambda: load_model(Embedding()))
    yield made
    made.close()


async def _scores(embedder: Embedder, title: str) -> list[float]:
    asked, *known = await embedder.queries([title, *ASKED_BEFORE])
    return [
        similarity(float(asked @ vector), overlap(title, other), FROM)
        for vector, other in zip(known, ASKED_BEFORE, strict=True)
    ]


@pytest.mark.parametrize(("title", "same"), SAME)
async def test_the_same_question_in_other_words_is_shown(
    embedder: Embedder, title: str, same: int
) -> None:
    scores = await _scores(embedder, title)
    assert scores[same] == max(scores) >= SHOWN_FROM


@pytest.mark.parametrize("title", NEW)
async def test_a_new_question_is_like_none(embedder: Embedder, title: str) -> None:
    assert max(await _scores(embedder, title)) < SHOWN_FROM


def test_the_scale_runs_from_nothing_to_the_same() -> None:
    assert similarity(1.0, 1.0, 0.9) == 1.0
    assert similarity(0.9, 0.0, 0.9) == pytest.approx(SHOWN_FROM)
    assert similarity(0.5, 0.0, 0.9) == similarity(-1.0, 0.0, 0.9) == 0.0
    assert similarity(0.89, 1.0, 0.9) > SHOWN_FROM > similarity(0.89, 0.0, 0.9)


def test_overlap_is_of_words_whatever_their_case_and_script() -> None:
    assert overlap("Visa FEE", "fee visa") == 1.0
    assert overlap("visa", "rent") == overlap("", "rent") == 0.0
    assert 0 < overlap("签证费用多少", "签证照片") < 1


def test_the_part_with_most_of_the_words() -> None:
    parts = ["About the rent.", "The fee is 75 euros.", "A fee."]
    assert most_alike("what fee in euros", parts) == 1
    assert most_alike("nothing of it", parts) == 0
    assert most_alike("anything", []) == 0
