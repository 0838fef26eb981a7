"""Frames of a video are made once, in the order of time, whatever order views ask for them in."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdata.errors import SourceError
from gapdata.records.frames_ahead import FramesAhead

VIEWS = st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=6, unique=True).map(sorted), min_size=1, max_size=8)


@given(views=VIEWS)
def test_every_frame_is_made_once_and_in_the_order_of_time(views: list[list[int]]) -> None:
    made: list[int] = []

    def make(frame: int) -> str:
        made.append(frame)
        return f"frame {frame}"

    ahead = FramesAhead(make)
    ahead.expect(views)
    for view in views:
        assert [ahead.take(frame) for frame in view] == [f"frame {frame}" for frame in view]
    assert made == sorted({frame for view in views for frame in view})
    assert not ahead._kept


def test_a_damaged_frame_is_reported_to_each_view_that_needs_it_and_to_no_other() -> None:
    def make(frame: int) -> int:
        if frame == 2:
            raise SourceError("cannot be decoded", frame=frame)
        return frame

    ahead = FramesAhead(make)
    ahead.expect([[3], [1, 2], [2]])
    assert ahead.take(3) == 3
    assert ahead.take(1) == 1
    for _ in range(2):
        with pytest.raises(SourceError, match="cannot be decoded"):
            ahead.take(2)


def test_a_frame_that_no_view_announced_is_made_when_it_is_asked_for() -> None:
    made: Counter[int] = Counter()

    def make(frame: int) -> int:
        made[frame] += 1
        return frame

    ahead = FramesAhead(make)
    ahead.expect([[5]])
    assert [ahead.take(frame) for frame in (5, 2, 2)] == [5, 2, 2]
    assert made == {5: 1, 2: 2}


@given(views=VIEWS)
def test_looking_at_frames_before_they_are_taken_keeps_the_order(views: list[list[int]]) -> None:
    made: list[int] = []

    def make(frame: int) -> int:
        made.append(frame)
        return frame

    ahead = FramesAhead(make)
    ahead.expect(views)
    for view in views:
        for frame in view:  # as a view's depth is looked at before its frames are prepared
            ahead.reach(frame)
            assert ahead.kept(frame) == frame
        assert [ahead.take(frame) for frame in view] == view
    assert made == sorted(set(made))
