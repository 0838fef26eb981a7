"""Which frames make a view."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gapdata.frames.selection import ClipSelection, select_clips, select_uniform

usable_frames = st.lists(st.booleans(), min_size=1, max_size=200).map(np.array)
selections = st.builds(
    ClipSelection,
    frames=st.integers(1, 5),
    interval=st.integers(2, 20),
    step=st.integers(1, 20),
    max_shift=st.integers(0, 3),
)


@given(usable_frames, selections)
def test_clips_hold_only_usable_frames_near_their_interval(usable: np.ndarray, selection: ClipSelection) -> None:
    clips = select_clips(usable, selection)
    for clip in clips:
        assert len(clip) == selection.frames
        assert usable[list(clip)].all()
        gaps = np.diff(clip)
        assert (gaps > 0).all()
        assert (np.abs(gaps - selection.interval) <= 2 * selection.max_shift).all()
    assert len({clip[0] for clip in clips}) == len(clips)


def test_with_all_frames_usable_clips_start_at_every_step_and_keep_one_second() -> None:
    clips = select_clips(np.ones(121, bool), ClipSelection(frames=4, interval=30, step=10, max_shift=3))
    assert clips == [(start, start + 30, start + 60, start + 90) for start in (0, 10, 20, 30)]


def test_a_lost_frame_is_replaced_by_its_nearest_neighbour_or_the_clip_is_left_out() -> None:
    usable = np.ones(91, bool)
    usable[29:31] = False
    selection = ClipSelection(frames=4, interval=30, step=10, max_shift=3)
    assert select_clips(usable, selection) == [(0, 31, 60, 90)]
    usable[25:35] = False
    assert select_clips(usable, selection) == []


@given(usable_frames, st.integers(1, 40))
def test_a_scene_view_spreads_over_all_usable_frames(usable: np.ndarray, count: int) -> None:
    chosen = select_uniform(usable, count)
    candidates = np.flatnonzero(usable)
    assert len(chosen) == min(count, len(candidates))
    assert list(chosen) == sorted(set(chosen))
    assert set(chosen) <= set(candidates.tolist())
    if len(chosen) > 1:
        assert (chosen[0], chosen[-1]) == (candidates[0], candidates[-1])
