"""Which frames make a view."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gapdata.frames.selection import ClipSelection, select_around, select_clips, select_uniform

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


@given(st.lists(st.booleans(), min_size=1, max_size=300).map(np.array))
def test_unbroken_clips_are_the_published_windows(usable: np.ndarray) -> None:
    """VG-LLM: runs of consecutive entries in the list of every tenth valid frame, four entries three apart, sliding."""
    listed = [frame for frame in range(0, len(usable), 10) if usable[frame]]
    runs: list[list[int]] = []
    for frame in listed:
        if runs and frame == runs[-1][-1] + 10:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    windows = [tuple(run[start : start + 10 : 3]) for run in runs for start in range(len(run) - 9)]
    selection = ClipSelection(frames=4, interval=30, step=10, max_shift=0, unbroken=True)
    assert select_clips(usable, selection) == windows


@given(usable_frames, st.integers(1, 40), st.integers(1, 12), st.integers(0, 50))
def test_a_rotated_view_is_the_plain_view_of_the_rotated_list(
    usable: np.ndarray, count: int, grid: int, first: int
) -> None:
    listed = [frame for frame in range(0, len(usable), grid) if usable[frame]]
    first = first % len(listed) if listed else 0
    rotated = listed[first:] + listed[:first]
    positions = [round(index * (len(rotated) - 1) / (count - 1)) if count > 1 else 0 for index in range(count)]
    expected = rotated if len(rotated) <= count else [rotated[position] for position in positions]
    assert list(select_uniform(usable, count, grid=grid, first=first)) == expected


@given(usable_frames, st.integers(0, 199))
def test_neighbours_come_after_their_frame_nearest_first(usable: np.ndarray, frame: int) -> None:
    frame %= len(usable)
    chosen = select_around(usable, frame, reach=30, interval=10)
    wanted = [frame, frame + 10, frame + 20, frame + 30, frame - 10, frame - 20, frame - 30]
    assert list(chosen) == [other for other in wanted if 0 <= other < len(usable) and usable[other]]
