"""Files named by time are paired by their numbers, and frames get their place on a clock of 30 Hz."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdata.sources.arkit.clock import nearest_within, one_each_tick, raw_indices, stamped_files

CAPTURE = "41069025"


def test_files_are_ordered_by_time_and_not_as_text() -> None:
    names = [f"{CAPTURE}_1000.000.png", f"{CAPTURE}_999.900.png", f"{CAPTURE}_10000.5.png"]
    found = stamped_files(names, ("png",), CAPTURE)
    assert found.names == (names[1], names[0], names[2])
    assert found.stamps.tolist() == [999_900_000, 1_000_000_000, 10_000_500_000]


@pytest.mark.parametrize("name", ["6845.80601079.png", "6845.806.PNG", f"{CAPTURE}_6845.806.png"])
def test_names_with_and_without_the_id_are_read(name: str) -> None:
    assert stamped_files([name], ("png",), CAPTURE).stamps.tolist() in ([6_845_806_000], [6_845_806_010])


@pytest.mark.parametrize(
    "name",
    ["40000000_1.000.png", "1.000.jpg", f"{CAPTURE}.png", "thumb.png", "1.0.0.png", "-1.0.png", "9" * 30 + ".png"],
)
def test_other_files_are_strays(name: str) -> None:
    found = stamped_files([name, f"{CAPTURE}_2.000.png"], ("png",), CAPTURE)
    assert found.strays == 1 or name == f"{CAPTURE}.png"
    assert found.names[-1] in (f"{CAPTURE}_2.000.png", name)


def test_a_second_file_of_one_moment_is_a_stray() -> None:
    found = stamped_files([f"{CAPTURE}_2.000.png", "2.0.png"], ("png",), CAPTURE)
    assert (len(found.names), found.strays) == (1, 1)


def test_names_may_be_a_millisecond_apart_and_no_more() -> None:
    found = stamped_files(["1.000.png", "2.001.png", "2.998.png", "4.000.png"], ("png",), CAPTURE)
    assert found.nearest(np.array([1_000_000, 2_000_000, 3_000_000, 3_999_000])).tolist() == [0, 1, -1, 3]


def test_nothing_is_near_where_nothing_is_known() -> None:
    assert nearest_within(np.array([], dtype=np.int64), np.array([5]), 10).tolist() == [-1]


@given(
    st.lists(st.integers(0, 10**9), min_size=1, max_size=20, unique=True),
    st.lists(st.integers(0, 10**9), max_size=20),
    st.integers(0, 10**8),
)
def test_the_nearest_is_what_a_search_of_all_finds(known: list[int], wanted: list[int], limit: int) -> None:
    ordered = sorted(known)
    for moment, place in zip(
        wanted, nearest_within(np.array(ordered), np.array(wanted, dtype=np.int64), limit), strict=True
    ):
        away = min(abs(moment - other) for other in ordered)
        assert (abs(ordered[place] - moment) == away) if away <= limit else place == -1


@pytest.mark.parametrize("rate", [10, 30, 60])
def test_raw_indices_count_thirtieths_of_a_second_at_any_rate(rate: int) -> None:
    """Stamps have three decimals, so that those of 30 Hz are up to half a millisecond off."""
    stamps = np.array([round(512.345 + frame / rate, 3) * 1e6 for frame in range(40 * rate)]).round().astype(np.int64)
    ticks = raw_indices(stamps, int(stamps[0]))
    kept = one_each_tick(ticks, stamps, int(stamps[0]), np.zeros(len(ticks), dtype=np.int64))
    assert ticks[kept].tolist() == [frame * 30 // rate for frame in range(0, 40 * rate, max(rate // 30, 1))]
    assert (np.diff(kept) > 0).all()


def test_of_one_tick_the_frame_with_the_best_pose_is_read_then_the_nearest() -> None:
    stamps = np.array([0, 16_667, 33_333, 50_000])
    ticks = raw_indices(stamps, 0)
    assert ticks.tolist() == [0, 0, 1, 1]
    assert one_each_tick(ticks, stamps, 0, np.array([0, 0, 0, 0])).tolist() == [0, 2]
    assert one_each_tick(ticks, stamps, 0, np.array([1, 2, 1, 1])).tolist() == [1, 2]


@given(st.lists(st.integers(0, 10**8), min_size=1, max_size=60, unique=True))
def test_ticks_that_are_read_rise_and_are_within_a_tick_of_their_time(stamps: list[int]) -> None:
    moments = np.array(sorted(stamps))
    start = int(moments[0])
    ticks = raw_indices(moments, start)
    kept = one_each_tick(ticks, moments, start, np.zeros(len(ticks), dtype=np.int64))
    assert (np.diff(ticks[kept]) > 0).all()
    assert set(ticks[kept]) == set(ticks)
    assert (np.abs((moments - start) * 30 / 1e6 - ticks) < 1).all()
