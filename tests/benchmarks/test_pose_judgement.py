"""How many views of good scans a build keeps, and how many of bad ones it refuses: the table of manifests/README.md.

Real scans are 7-Scenes' kitchen (200 of 1000 frames) and Redwood's five frames, synthetic ones three furnished rooms.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.pose_judgement import BEGIN, PAGE, Verdicts, all_verdicts, table
from tests.support.pose_mistakes import FINE, GOOD, GROSS, MISTAKES, Mistake

KEPT = 0.98


@pytest.fixture(scope="module")
def found(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Verdicts]]:
    verdicts = all_verdicts(samples, tmp_path_factory.mktemp("captures"))
    print(f"\nshare of views refused:\n{table(verdicts)}")
    return verdicts


def test_good_scans_keep_their_views(found: dict[str, dict[str, Verdicts]]) -> None:
    for name, verdicts in found.items():
        assert verdicts[GOOD.name].share <= 1 - KEPT, name


@pytest.mark.parametrize("mistake", [*GROSS, *FINE], ids=lambda mistake: mistake.name)
def test_mistakes_are_refused(found: dict[str, dict[str, Verdicts]], mistake: Mistake) -> None:
    real = found["kitchen"][mistake.name] + found["Redwood"][mistake.name]
    for verdicts in (real, found["synthetic"][mistake.name]):
        assert mistake.refused is not None
        assert verdicts.share >= mistake.refused


def test_the_page_shows_the_table() -> None:
    rows = PAGE.read_text().partition(BEGIN)[2]
    assert all(f"| {mistake.name} |" in rows for mistake in MISTAKES)
