"""A benchmark's messages as turns, images and times, without lmms-eval."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gapdata.errors import UsageError
from gapmodel.field_of_view import of_one_size
from gapmodel.harness.conversation import Sampling, read_messages, user_message
from gapmodel.harness.generation import read_generation
from gapmodel.harness.video_frames import sample_video
from gapmodel.processing import Turn
from tests.harness.conftest import frames

RATE, LENGTH, STEP = 10.0, 41, 6


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frame k is 6 k grey, ten a second."""
    path = tmp_path_factory.mktemp("video") / "walk.mkv"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"FFV1"), RATE, (96, 64))
    for number in range(LENGTH):
        writer.write(np.full((64, 96, 3), number * STEP, np.uint8))
    writer.release()
    return path


def numbers(images: list[NDArray[np.uint8]]) -> list[int]:
    return [round(float(image.mean()) / STEP) for image in images]


def test_texts_images_and_turns_keep_their_order(tmp_path: Path) -> None:
    first, second, third = frames(3)
    Image.fromarray(third).save(tmp_path / "c.png")
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look: <image>"},
                {"type": "image", "url": Image.fromarray(first)},
                {"type": "image", "url": second},
                {"type": "text", "text": "and "},
                {"type": "text", "text": "say"},
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "A"}]},
        {"role": "user", "content": [{"type": "image", "url": str(tmp_path / "c.png")}]},
    ]
    found = read_messages(messages, Sampling())
    assert found.turns == [
        Turn("system", ("Be brief.",)),
        Turn("user", ("Look: <image>", "", "and say")),
        Turn("assistant", ("A",)),
        Turn("user", ("", "")),
    ]
    assert all(np.array_equal(one, other) for one, other in zip(found.images, [first, second, third], strict=True))
    assert found.seconds(Sampling(), 1.0) is None


def test_a_video_is_shown_by_evenly_spaced_frames_with_their_times(video: Path) -> None:
    sampling = Sampling(frames=5)
    found = read_messages([user_message([str(video)], "where?")], sampling)
    assert found.turns == [Turn("user", ("", "", "", "", "", "where?"))]
    assert numbers(found.images) == [0, 10, 20, 30, 40]
    assert found.seconds(sampling, 1.0) == pytest.approx([0, 1, 2, 3, 4])
    assert found.seconds(Sampling(frames=5, seconds_per_frame=2.5), 1.0) == [0, 2.5, 5, 7.5, 10]


def test_a_part_of_a_video_and_a_list_of_frames_are_sampled_likewise(video: Path) -> None:
    part = {"type": "video", "url": str(video), "start_time": 1.0, "end_time": 2.0}
    (content,) = [{"role": "user", "content": [part]}]
    found = read_messages([content], Sampling(frames=3))
    assert numbers(found.images) == [10, 15, 20]
    assert found.times == pytest.approx([1.0, 1.5, 2.0])
    whole = sample_video(video, 1000).images
    assert numbers(whole) == list(range(LENGTH))
    listed = read_messages([user_message([whole], "?")], Sampling(frames=3))
    assert numbers(listed.images) == [0, 20, 40]
    assert listed.times == [None] * 3


def test_a_video_that_ends_before_its_header_says_is_sampled_over_what_there_is(video: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(video.read_bytes()[: video.stat().st_size * 6 // 10])
    found = numbers(sample_video(cut, 3).images)
    assert found[0] == 0
    assert 2 * found[1] == pytest.approx(found[2], abs=1)
    assert LENGTH // 2 < found[2] < LENGTH * 3 // 4


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"type": "audio", "url": "a.wav"}, "content of type 'audio'"),
        ({"type": "image", "url": "missing.png"}, "missing.png"),
        ({"type": "image", "url": 3}, "an image is given as int"),
        ({"type": "video", "url": "missing.mp4"}, "missing.mp4"),
        ({"type": "video", "url": 3}, "a video is given as int"),
    ],
)
def test_what_cannot_be_shown_is_said(content: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        read_messages([{"role": "user", "content": [content]}], Sampling())


def test_an_unknown_role_is_refused() -> None:
    with pytest.raises(UsageError, match="the role 'tool'"):
        read_messages([{"role": "tool", "content": "x"}], Sampling())


def test_images_of_several_sizes_get_that_of_the_largest_and_keep_their_proportions() -> None:
    (wide,), (tall,) = frames(1, (160, 80)), frames(1, (40, 80), seed=1)
    found = of_one_size([tall, wide])
    assert [image.shape for image in found] == [(80, 160, 3)] * 2
    assert np.array_equal(found[1], wide)
    # 40x20 from the middle of the tall one, four times as large: row 60 shows its row 45.
    row = np.repeat(tall[45].astype(int), 4, axis=0)
    assert abs(found[0][60] - row).mean() < 8
    same = frames(2)
    assert all(one is other for one, other in zip(of_one_size(same), same, strict=True))


def test_settings_of_a_task_are_read() -> None:
    greedy = read_generation({"max_new_tokens": 16, "temperature": 0, "top_p": 1.0, "num_beams": 1, "do_sample": False})
    assert (greedy.max_new_tokens, dict(greedy.options), greedy.unread) == (16, {"num_beams": 1}, ())
    assert "do_sample" not in dict(read_generation({"temperature": 0, "do_sample": True}).options)
    assert "do_sample" not in dict(read_generation({"temperature": 0.7, "do_sample": False}).options)
    warm = dict(read_generation({"temperature": 0.7, "top_p": 0.9, "num_beams": None}).options)
    assert warm == {"do_sample": True, "temperature": 0.7, "top_p": 0.9}
    assert dict(read_generation({"do_sample": True}).options) == {"do_sample": True, "temperature": 1.0}
    assert read_generation({"image_aspect_ratio": "pad"}).unread == ("image_aspect_ratio",)
    ends = read_generation({"until": ["\n\n", "", "###"]})
    assert [ends.cut(text) for text in ("a###b\n\nc", "a\n\nb###", "plain\n")] == ["a", "a", "plain\n"]
    assert read_generation({"until": "."}).cut("A. B.") == "A"
