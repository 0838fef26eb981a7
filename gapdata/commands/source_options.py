"""The options that say where scans are and how their frames are to be read."""

from __future__ import annotations

import argparse

from gapdata.commands.argument_types import place
from gapdata.geometry.pose_names import AXES, DIRECTIONS, UNITS
from gapdata.sources.registry import FRAME_OPTIONS, SOURCES, as_option


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for each source; one of them must be given."""
    group = parser.add_mutually_exclusive_group(required=True)
    for name, source in SOURCES.items():
        group.add_argument(as_option(name), type=place, metavar="DIR", help=source.help)


def add_frame_options(parser: argparse.ArgumentParser) -> None:
    """Add how a folder of RGB-D frames is to be read (:data:`gapdata.sources.registry.FRAME_OPTIONS`).

    An option that is not given is not among the parsed ones. ``gapdata inspect DIR --poses`` names the option that
    mends a scan.
    """
    takers = [as_option(name) for name, source in SOURCES.items() if set(FRAME_OPTIONS) & set(source.options)]
    group = parser.add_argument_group(
        f"frames of {', '.join(takers)}",
        "what the folder itself does not say; `gapdata inspect DIR --poses` finds the option that a scan needs",
        argument_default=argparse.SUPPRESS,
    )
    group.add_argument(
        "--depth-scale",
        type=float,
        metavar="UNITS",
        help="depth units per metre (default: what intrinsics.json says, else 1000; floats are metres)",
    )
    group.add_argument("--poses", choices=DIRECTIONS, help="what the pose matrices map (default: camera-to-world)")
    group.add_argument(
        "--axes",
        choices=tuple(AXES),
        help="axes of the camera: opencv x right, y down, z forward (default); opengl y up, z back (ARKit, Blender);"
        " unity y up, left-handed (ICL-NUIM); ros x forward, y left, z up",
    )
    group.add_argument(
        "--pose-units", type=metres, metavar="m|cm|mm", help="unit of positions, or its metres (default: m)"
    )
    group.add_argument("--pose-shift", type=int, metavar="N", help="take a frame's pose from the N-th frame after it")
    group.add_argument("--depth-shift", type=int, metavar="N", help="take a frame's depth from the N-th frame after it")


def add_scannetpp_options(parser: argparse.ArgumentParser) -> None:
    """Add which of its cameras and poses are read from ScanNet++."""
    group = parser.add_argument_group("frames of --scannetpp", argument_default=argparse.SUPPRESS)
    group.add_argument(
        "--scannetpp-camera",
        choices=("auto", "iphone", "dslr"),
        help="whose frames: the iPhone's video with LiDAR depth, or the DSLR's stills with depth cast from the mesh "
        "(default: auto, the iPhone's where there are any)",
    )
    group.add_argument(
        "--scannetpp-poses",
        choices=("arkit", "colmap"),
        help="poses of the iPhone: aligned_pose of all frames (default), or the more exact ones of some frames in "
        "iphone/colmap/, whose lens is undone",
    )


def metres(text: str) -> float:
    """Read the metres of a unit from its name or as a number."""
    try:
        value = UNITS[text] if text in UNITS else float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a unit: m, cm, mm, or metres such as 0.0254")
    return value
