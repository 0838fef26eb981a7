"""Word a reading that makes frames agree: how it reads the scan, and what the user can do."""

from __future__ import annotations

from gapdata.geometry.pose_convention import ROTATION_INVERTED, TRANSLATION_INVERTED
from gapdata.geometry.pose_names import AXES, UNITS, WORLD_TO_CAMERA
from gapdata.geometry.pose_trials import Reading, changed_camera
from gapdata.sources.base import Scan
from gapdata.sources.frame_reading import FrameReading


def describe_cure(
    scan: Scan, told: FrameReading, given: Reading, cure: Reading, *, moved_depth: bool
) -> tuple[str, str]:
    """Return how the cure reads the scan ("read as world-to-camera"), and what to do.

    Args:
        scan: the scan; options can change how folders of ``--rgbd`` are read, the files of other scans must be mended.
        told: the user's statements about its frames.
        given: how it is read now.
        cure: how it should be read.
        moved_depth: whether a shift of ``cure`` is one of the depth images instead of the poses.
    """
    reads: list[str] = []
    options: list[str] = []
    wrongs: list[str] = []
    before, after = given.convention, cure.convention
    if after.direction != before.direction:
        if after.direction == ROTATION_INVERTED:
            reads.append("with their rotations transposed")
            wrongs.append("the rotations are written by column: transpose the 3x3 part of each pose")
        elif after.direction == TRANSLATION_INVERTED:
            reads.append("with translations of world-to-camera")
            wrongs.append("the translations are world-to-camera, the rotations are not: replace each t by -R t")
        else:
            reads.append(f"as {after.direction}")
            options.append(f"--poses {after.direction}")
            if after.direction == WORLD_TO_CAMERA:
                wrongs.append("the poses are world-to-camera: invert them")
    if after.axes != before.axes:
        reads.append(f"with {AXES[after.axes]}")
        options.append(f"--axes {after.axes}")
        wrongs.append(f"the cameras have {AXES[after.axes]}; turn them to OpenCV's")
    if after.metres_per_unit != before.metres_per_unit:
        unit = next((name for name, metres in UNITS.items() if metres == after.metres_per_unit), None)
        named = unit or f"{after.metres_per_unit:g}"
        reads.append(f"with translations in {unit}" if unit else f"with translations in units of {named} m")
        options.append(f"--pose-units {named}")
        wrongs.append(f"translations are in {named}: write them in metres")
    if cure.units_per_metre != given.units_per_metre:
        reads.append(f"with {cure.units_per_metre:g} depth units per metre instead of {given.units_per_metre:g}")
        options.append(f"--depth-scale {cure.units_per_metre:g}")
        wrongs.append(f"depth has {cure.units_per_metre:g} units per metre, not {given.units_per_metre:g}")
    shift = cure.pose_shift - given.pose_shift
    if shift and moved_depth:
        reads.append(f"with depth images of {_later(-shift)}")
        options.append(f"--depth-shift {told.depth_shift - shift}")
        wrongs.append(f"each frame has the depth image of {_later(-shift)}: move the depth images")
    elif shift:
        reads.append(f"with poses of {_later(shift)}")
        options.append(f"--pose-shift {cure.pose_shift}")
        wrongs.append(f"the pose of each frame is stored {_later(shift)}: move the poses")
    if (cure.focal, cure.resolution) != (given.focal, given.resolution):
        camera = changed_camera(scan.depth_intrinsics, cure)
        reads.append(_intrinsics(cure))
        text = f"fx {camera.fx:.1f}, fy {camera.fy:.1f}, cx {camera.cx:.1f}, cy {camera.cy:.1f}"
        wrong = f"give intrinsics near {text} for depth of {camera.width}x{camera.height}"
        return _joined(reads), wrong if not options else f"{wrong}, and pass {' '.join(options)}"
    curable = scan.reading is not None and len(options) == len(reads)
    action = f"pass {' '.join(options)}" if curable else "; ".join(wrongs)
    return _joined(reads), action


def _intrinsics(cure: Reading) -> str:
    if cure.resolution != 1:
        return f"with intrinsics scaled by {cure.resolution:.3g}, as for images of another size"
    return f"with focal lengths times {cure.focal:g}"


def _joined(reads: list[str]) -> str:
    return f"read {' and '.join(reads)}" if reads[0].startswith("as ") else " and ".join(reads)


def _later(shift: int) -> str:
    plural = "" if abs(shift) == 1 else "s"
    return f"{abs(shift)} frame{plural} {'later' if shift > 0 else 'earlier'}"
