"""The captures of phones and other tools that ``--rgbd`` recognises by their content.

A capture is one file and one row of :data:`CAPTURES`. Importing this imports none of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from gapdata.sources.base import Scan
from gapdata.sources.frame_reading import FrameReading
from gapdata.sources.source_facts import SourceFacts


class CaptureModule(Protocol):
    """What the file of a capture format defines."""

    def recognise(self, place: Path, names: Mapping[str, str]) -> bool:
        """Return whether a folder is a capture of this kind.

        Args:
            place: the folder; files inside its sub-folders may be looked for, not read.
            names: what lies directly in it, by lower case.

        Raises:
            OSError: a sub-folder cannot be listed.
        """
        ...

    def open_capture(self, scene_id: str, place: Path, reading: FrameReading) -> Scan:
        """Open a capture.

        Args:
            scene_id: for messages and keys.
            place: the folder, or the file where the row has endings.
            reading: what the user says about the frames.

        Raises:
            SourceError: its frames are missing or damaged.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture(SourceFacts):
    """One format of captures."""

    module: str
    """The file that reads it, a :class:`CaptureModule`."""
    help: str
    """What it is recognised by, in a few words."""
    endings: tuple[str, ...] = ()
    """Of single files that are captures, such as ``.r3d``."""

    def load(self) -> CaptureModule:
        """Import the file that reads this format."""
        return cast(CaptureModule, importlib.import_module(self.module))


CAPTURES: dict[str, Capture] = {
    "record3d": Capture(
        module="gapdata.sources.record3d",
        title="Record3D",
        help="a recording of Record3D",
        endings=(".r3d",),
        recognised_by="an .r3d, which is read in place, or what it unpacks to: metadata and rgbd/",
        download="in Record3D: Library, a LiDAR recording, Export, Shareable/Internal format (.r3d)",
        categories="names in objects.json",
    ),
    "stray": Capture(
        module="gapdata.sources.stray",
        title="Stray Scanner",
        help="a capture of Stray Scanner",
        recognised_by="odometry.csv with rgb.mp4, or with frames extracted from it to rgb/",
        download="in Files on the phone: Stray Scanner, copy the whole folder of the capture",
        categories="names in objects.json",
    ),
    "polycam": Capture(
        module="gapdata.sources.polycam",
        title="Polycam",
        help="a raw capture of Polycam",
        recognised_by="keyframes/ with images/ and cameras/, or with corrected_images/ and corrected_cameras/",
        download='in Polycam: Settings, "Developer mode"; scan in LiDAR mode; export "Raw data"; unpack the zip',
        categories="names in objects.json",
    ),
    "3dscanner": Capture(
        module="gapdata.sources.scanner_app",
        title="3D Scanner App",
        help="an export of 3D Scanner App",
        recognised_by="frame_00000.json with frame_00000.jpg or depth_00000.png",
        download='in 3D Scanner App: scan in LiDAR mode; Share, "All Data"; copy the whole folder',
        categories="names in objects.json",
    ),
    "icl-nuim": Capture(
        module="gapdata.sources.icl_nuim",
        title="ICL-NUIM",
        help="a sequence of ICL-NUIM in its TUM-compatible form",
        recognised_by="rgb/ and depth/ with livingRoom0.gt.freiburg or traj0.gt.freiburg",
        download="wget https://www.doc.ic.ac.uk/~ahanda/living_room_traj2_frei_png.tar.gz (and siblings), unpacked "
        "into a folder each",
        terms="those of its page, https://www.doc.ic.ac.uk/~ahanda/VaFRIC/iclnuim.html",
        categories="names in objects.json",
    ),
    "rtabmap": Capture(
        module="gapdata.sources.rtabmap",
        title="RTAB-Map",
        help="an export of RTAB-Map",
        recognised_by="rgb/, depth/ and calib/ with .yaml files, or map_rgb/, map_depth/ and map_calib/",
        download="rtabmap-export --images_id --poses_camera --poses_format 11 --output_dir OUT map.db",
        categories="names in objects.json",
    ),
    "nerfstudio": Capture(
        module="gapdata.sources.nerfstudio",
        title="nerfstudio",
        help="nerfstudio's transforms.json with depth",
        recognised_by="transforms.json, and no poses in another form",
        download="any tool that writes nerfstudio's format with depth_file_path in each frame, in metres",
        categories="names in objects.json",
    ),
    "sun3d": Capture(
        module="gapdata.sources.sun3d",
        title="SUN3D",
        help="a sequence of SUN3D",
        recognised_by="image/, depth/, extrinsics/ and intrinsics.txt",
        download="wget -r of a sequence below https://sun3d.cs.princeton.edu/data/",
        terms="those of its page, https://sun3d.cs.princeton.edu",
        categories="names in objects.json",
    ),
    "sens": Capture(
        module="gapdata.sources.sens_scan",
        title=".sens files",
        help="a .sens file of any name, such as BundleFusion's",
        recognised_by="a file with the ending .sens, or a folder with one such file",
        endings=(".sens",),
        download="for BundleFusion's, unpack a zip of https://graphics.stanford.edu/projects/bundlefusion/",
        categories="names in objects.json",
    ),
    "7-scenes": Capture(
        module="gapdata.sources.seven_scenes",
        title="7-Scenes",
        help="a sequence of 7-Scenes as it was released",
        recognised_by="a folder such as seq-01 with frame-000000.color.png, .depth.png and .pose.txt",
        download="unpack the zips of https://www.microsoft.com/en-us/research/project/rgb-d-dataset-7-scenes/",
        terms="non-commercial research for 7-Scenes itself, https://www.microsoft.com/en-us/research/project/"
        "rgb-d-dataset-7-scenes/; else those of whoever recorded frames with these names",
        categories="names in objects.json",
    ),
}
"""By the name that ``gapdata inspect`` shows; the first that recognises a folder opens it."""


def find_capture(place: Path, names: Mapping[str, str]) -> str | None:
    """Return the name of the format of a capture, or ``None`` for anything else.

    Args:
        place: a folder, or a file.
        names: what lies in the folder, by lower case; empty for a file.

    Raises:
        OSError: a sub-folder cannot be listed.
    """
    for name, capture in CAPTURES.items():
        if place.suffix.lower() in capture.endings and place.is_file():
            return name
        if names and capture.load().recognise(place, names):
            return name
    return None
