"""Every notice beside the figures has its words in each language of the frontend."""

from __future__ import annotations

import re
from pathlib import Path

from actors import timeline_views

SHOWN = Path(__file__).parents[2] / "frontend/src/visa/Notices.tsx"


def test_the_frontend_knows_every_notice() -> None:
    codes = {n.code for n in vars(timeline_views).values() if isinstance(n, timeline_views.Notice)}
    assert "self_selected" in codes
    assert set(re.findall(r"^  (\w+): \"visa\.", SHOWN.read_text(), re.MULTILINE)) == codes
