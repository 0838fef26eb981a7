"""The formats that ``gapdata synth --format`` writes: a format is one file and one row of :data:`FORMATS`.

Importing this imports none of them: the help of the command line reads it.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from gapdata.synthetic.formats.walk import Walk


class FormatModule(Protocol):
    """What the file of a format defines."""

    def write(self, out: Path, walks: Iterable[Walk]) -> list[str]:
        """Write the walks below a folder, one after the other, and return the names of their scenes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One format of captures or data sets."""

    module: str
    """The file that writes it, a :class:`FormatModule`."""
    option: str
    """The option of ``gapdata build-shards`` that reads it, such as ``rgbd``."""
    help: str
    """Its traps, in a few words."""

    def load(self) -> FormatModule:
        """Import the file that writes this format."""
        return cast(FormatModule, importlib.import_module(self.module))


FORMATS: dict[str, Format] = {
    "scannetpp": Format(
        module="gapdata.synthetic.formats.scannetpp",
        option="scannetpp",
        help="video of 60 Hz, all encodings of depth.bin, drifting intrinsics, COLMAP's lens, shared vertices",
    ),
    "record3d": Format(
        module="gapdata.synthetic.formats.record3d",
        option="rgbd",
        help="an .r3d with members in text order, held upright, metadata of old and new versions, smeared edges",
    ),
    "stray": Format(
        module="gapdata.synthetic.formats.stray",
        option="rgbd",
        help="a video with a hidden frame, held upright, drifting intrinsics, dropped frames, smeared edges",
    ),
    "arkitscenes": Format(
        module="gapdata.synthetic.formats.arkitscenes",
        option="arkitscenes",
        help="captures held sideways, poses from the world to the camera at 10 Hz, a camera for each frame, boxes",
    ),
    "tum": Format(
        module="gapdata.synthetic.formats.tum",
        option="rgbd",
        help="lists with time stamps that differ, a hole in the poses, one depth image missing, a lens",
    ),
    "polycam": Format(
        module="gapdata.synthetic.formats.polycam",
        option="rgbd",
        help="held upright, drifting intrinsics, aligned keyframes with black borders, recorded ones 10 cm off",
    ),
    "3dscanner": Format(
        module="gapdata.synthetic.formats.scanner_app",
        option="rgbd",
        help="held upright with a turning tag, intrinsics of the sensor, images of every second frame, lost tracking",
    ),
    "3rscan": Format(
        module="gapdata.synthetic.formats.threerscan",
        option="3rscan",
        help="sequence.zip and sequence/, sideways frames, squeezed depth, lost poses, a rescan, a labelled mesh",
    ),
    "nerfstudio": Format(
        module="gapdata.synthetic.formats.nerfstudio",
        option="rgbd",
        help="held upright with an unknown vertical, a lens, pixel centres at 0.5, names without endings, masks",
    ),
    "matterport3d": Format(
        module="gapdata.synthetic.formats.matterport3d",
        option="matterport3d",
        help="stills by region, in folders or zips, a lens for each camera, undistorted images with OpenGL's axes",
    ),
}
"""By the name of ``--format``, besides ``scannet``."""
