"""The options that say where scans are and how frames of ``--rgbd`` are to be read, and the data set they name."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gapdata.errors import UsageError
from gapdata.geometry.pose_names import AXES, CAMERA_TO_WORLD, DIRECTIONS, UNITS

if TYPE_CHECKING:
    from gapdata.sources.base import Dataset
    from gapdata.sources.frame_reading import FrameReading


DEFAULTS = {
    **{"depth_scale": None, "poses": CAMERA_TO_WORLD, "axes": "opencv"},
    **{"pose_units": 1.0, "pose_shift": 0, "depth_shift": 0},
}


def add_reading_options(parser: argparse.ArgumentParser) -> None:
    """Add how a folder of RGB-D frames is to be read; ``gapdata inspect DIR --poses`` names the option that cures."""
    group = parser.add_argument_group(
        "frames of --rgbd", "what the folder does not say itself; `gapdata inspect DIR --poses` says what it takes"
    )
    group.add_argument(
        "--depth-scale",
        type=float,
        metavar="UNITS",
        help="depth units per metre (default: what intrinsics.json says, else 1000; floats are metres)",
    )
    group.add_argument("--poses", choices=DIRECTIONS, help="what the pose matrices map (default: %(default)s)")
    group.add_argument(
        "--axes",
        choices=tuple(AXES),
        help="of the camera: opencv x right, y down, z forward (default); opengl y up, z back (ARKit, Blender); unity y"
        " up, left-handed (ICL-NUIM); ros x forward, y left, z up",
    )
    group.add_argument("--pose-units", type=metres, metavar="m|cm|mm", help="of translations, or metres (default: m)")
    group.add_argument("--pose-shift", type=int, metavar="N", help="a frame's pose is that of the N-th frame after it")
    group.add_argument(
        "--depth-shift", type=int, metavar="N", help="a frame's depth is that of the N-th frame after it"
    )
    parser.set_defaults(**DEFAULTS)


def metres(text: str) -> float:
    """Read the metres of a unit from its name or as a number."""
    try:
        value = UNITS[text] if text in UNITS else float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a unit: m, cm, mm, or metres such as 0.0254")
    return value


def frame_reading(options: argparse.Namespace) -> FrameReading:
    """Return what the options say about frames.

    Raises:
        UsageError: the depth scale is not positive.
    """
    from gapdata.geometry.pose_convention import PoseConvention
    from gapdata.sources.frame_reading import FrameReading

    if options.depth_scale is not None and not 0 < options.depth_scale < float("inf"):
        raise UsageError("--depth-scale is a positive number of units per metre, such as 1000")
    return FrameReading(
        convention=PoseConvention(direction=options.poses, axes=options.axes, metres_per_unit=options.pose_units),
        depth_units_per_metre=options.depth_scale,
        pose_shift=options.pose_shift,
        depth_shift=options.depth_shift,
    )


def open_dataset(options: argparse.Namespace) -> Dataset:
    """Return the data set that --scannet or --rgbd names; absolute, because workers may run in another directory.

    Raises:
        UsageError: there is none, or options of --rgbd were given with --scannet.
    """
    from gapdata.files.storage import absolute
    from gapdata.sources.frame_reading import AS_DOCUMENTED
    from gapdata.sources.rgbd import RgbdFolder
    from gapdata.sources.scannet import ScanNetDataset

    reading = frame_reading(options)
    if options.rgbd is not None:
        return RgbdFolder.open(options.rgbd, reading)
    if reading != AS_DOCUMENTED:
        changed = [name for name, default in DEFAULTS.items() if getattr(options, name) != default]
        names = ", ".join(f"--{name.replace('_', '-')}" for name in changed)
        raise UsageError(
            f"{names} can be given with --rgbd only",
            cure="frames under --scannet are read as ScanNet's tools write them",
        )
    return ScanNetDataset.open(absolute(options.scannet))
