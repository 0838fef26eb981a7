"""Poses with time stamps: rotations of every spelling agree with OpenCV's, and gaps stay gaps."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gapdata.sources.stamped_poses import interpolate_poses, quaternions_from_vectors, stamped_poses

IDENTITY = np.array([[0.0, 0.0, 0.0, 1.0]])


def test_rotation_vectors_mean_the_rotations_that_opencv_reads_in_them() -> None:
    vectors = np.array([[0.0, 0.0, 0.0], [1e-9, 0.0, 0.0], [0.3, -1.2, 2.0], [0.0, 3.14159, 0.0], [-2.5, 0.1, 4.0]])
    stamps = [f"{at}.0" for at in range(len(vectors))]
    poses, _ = interpolate_poses(
        stamped_poses(stamps, np.zeros((len(vectors), 3)), quaternions_from_vectors(vectors)), stamps
    )
    for pose, vector in zip(poses, vectors, strict=True):
        np.testing.assert_allclose(pose[:3, :3], cv2.Rodrigues(vector)[0], atol=1e-12)


def test_inverted_poses_are_the_inverse_matrices() -> None:
    generator = np.random.default_rng(0)
    stamps = [f"{at}.5" for at in range(6)]
    written = stamped_poses(
        stamps, generator.normal(size=(6, 3)), quaternions_from_vectors(generator.normal(size=(6, 3)))
    )
    there, _ = interpolate_poses(written, stamps)
    back, _ = interpolate_poses(written.inverted(), stamps)
    np.testing.assert_allclose(there @ back, np.broadcast_to(np.eye(4), (6, 4, 4)), atol=1e-12)


def test_rows_in_any_order_give_poses_in_the_order_of_time_and_each_moment_counts_once() -> None:
    known = stamped_poses(
        ["3.0", "1.0", "2.0", "1.000"], np.arange(12.0).reshape(4, 3), np.repeat(1.005 * IDENTITY, 4, axis=0)
    )
    assert known.stamps == ("1.0", "2.0", "3.0")
    assert known.repeated == 1
    np.testing.assert_array_equal(known.translations, [[3, 4, 5], [6, 7, 8], [0, 1, 2]])
    np.testing.assert_allclose(known.quaternions, np.repeat(IDENTITY, 3, axis=0))


@pytest.mark.parametrize(("longest", "found"), [(0.05, False), (0.2, True)])
def test_the_caller_says_how_far_apart_two_poses_may_be(longest: float, found: bool) -> None:
    known = stamped_poses(["1.00", "1.11"], np.array([[0.0, 0, 0], [1, 0, 0]]), np.repeat(IDENTITY, 2, axis=0))
    poses, interpolated = interpolate_poses(known, ["1.0", "1.055", "1.2"], longest)
    assert np.isfinite(poses).all(axis=(1, 2)).tolist() == [True, found, False]
    assert interpolated.tolist() == [False, found, False]
    if found:
        np.testing.assert_allclose(poses[1, :3, 3], [0.5, 0, 0])


def test_lost_tracking_reaches_no_further_than_its_neighbours() -> None:
    places = np.array([[0.0, 0, 0], [-np.inf, 0, 0], [2, 0, 0]])
    known = stamped_poses(["1.00", "1.01", "1.02"], places, np.repeat(IDENTITY, 3, axis=0))
    poses, interpolated = interpolate_poses(known, ["1.00", "1.005", "1.015", "1.02"])
    assert np.isfinite(poses).all(axis=(1, 2)).tolist() == [True, False, False, True]
    assert not interpolated.any()


def test_a_quaternion_that_is_not_a_rotation_is_named_by_its_stamp() -> None:
    with pytest.raises(ValueError, match=r"has at 2.0 a quaternion of length 0.7, expected 1"):
        stamped_poses(["1.0", "2.0"], np.zeros((2, 3)), np.concatenate([IDENTITY, 0.7 * IDENTITY]))
