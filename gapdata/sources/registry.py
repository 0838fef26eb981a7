"""The kinds of scans that the engine reads, by the name of their option: ``--scannet`` and ``scannet=``.

A source is one file and one row of :data:`SOURCES`. Importing this imports no source and nothing heavy: the help of the
command line reads it.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from gapdata.errors import UsageError
from gapdata.files.object_store import ObjectPath
from gapdata.files.storage import Location, absolute, location
from gapdata.runtime.choices import check_choice
from gapdata.sources.source_facts import SourceFacts

if TYPE_CHECKING:
    from gapdata.sources.base import Dataset, Scan

FRAME_OPTIONS = ("depth_scale", "poses", "axes", "pose_units", "pose_shift", "depth_shift")
"""What a user may say about frames that were written by unknown tools; see
:func:`gapdata.sources.rgbd.open_folder`."""


class SourceModule(Protocol):
    """What the file of a source defines."""

    def open_folder(self, root: Location, **options: Any) -> Dataset:
        """Open the data set at an absolute place; ``options`` are the given ones of the source's row.

        Raises:
            UsageError: the place does not hold such a data set, or an option cannot be used.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Source(SourceFacts):
    """One kind of scans."""

    module: str
    """The file that reads it, a :class:`SourceModule`."""
    help: str
    options: tuple[str, ...] = ()
    """Further options that it takes."""
    in_stores: bool = False
    """Whether it can be read from an object store."""
    endings: tuple[str, ...] = ()
    """Of single files that are scans, such as ``.sens``."""
    found_by: str = "open_folder"
    """The function of the file that opens what a user names without saying its kind: of one place, it returns a data
    set or a scan, or raises ``UsageError`` for anything else."""

    def load(self) -> SourceModule:
        """Import the file that reads this kind."""
        return cast(SourceModule, importlib.import_module(self.module))


SOURCES: dict[str, Source] = {
    "scannet": Source(
        module="gapdata.sources.scannet",
        in_stores=True,
        endings=(".sens",),
        found_by="open_found",
        help="the ScanNet download, or a folder of scenes (a path, s3://... or gs://...): .sens files, or frames "
        "extracted from them by ScanNet's exporters (color/ depth/ pose/ intrinsic/, or frame-000000.color.jpg ... "
        "with _info.txt), posed_images/, scannet_frames_25k/",
        recognised_by="scans/, scans_test/, posed_images/ or scannet_frames_25k/ with folders such as scene0000_00, "
        "such a folder, or a .sens file",
        download="python download-scannet.py -o DIR --type .sens (and _vh_clean_2.ply, "
        "_vh_clean_2.0.010000.segs.json, .aggregation.json, .txt), with the script that ScanNet sends you",
        terms="ScanNet Terms of Use (signed form; non-commercial research), https://github.com/ScanNet/ScanNet",
        categories="scannetv2-labels.combined.tsv of the download",
        splits="scannetv2_train.txt, scannetv2_val.txt, scannetv2_test.txt, in DIR or above",
    ),
    "rgbd": Source(
        module="gapdata.sources.rgbd",
        options=FRAME_OPTIONS,
        help="a folder of RGB-D frames, or of such folders: color/ depth/ and pose/ or one trajectory.log or traj.txt, "
        "or rgb.txt depth.txt groundtruth.txt (TUM), "
        "with intrinsics.json {fx, fy, cx, cy[, width, height, depth_scale]} or intrinsics.txt (fx fy cx cy, 3x3, 4x4)",
        recognised_by="color/ or rgb/ or images/ with depth/, and pose/ or trajectory.log or traj.txt; results/ with "
        "traj.txt; frame-000000.color.* with .depth.* and .pose.txt; rgb.txt with depth.txt",
    ),
}
"""By keyword; the option is this with dashes. The first source that recognises a folder opens it, so the most general
one stands last."""


def open_dataset(**named: Any) -> Dataset:
    """Open a data set: ``open_dataset(scannet="/data/scannet")``, ``open_dataset(rgbd="frames", depth_scale=5000)``.

    Args:
        named: one of :data:`SOURCES` with its place (a path or a URI), and options that it takes. ``None`` counts as
            not given. The place becomes absolute, because workers may run in another directory.

    Raises:
        UsageError: no source or several are named, an option belongs to another source, or the place does not hold
            such scans.
    """
    given = {name: value for name, value in named.items() if value is not None}
    places = [name for name in given if name in SOURCES]
    for name in given.keys() - SOURCES.keys():
        check_choice("option", name, [*SOURCES, *_all_options()])
    if len(places) != 1:
        problem = f"more than one source is named ({', '.join(places)})" if places else "no source is named"
        raise UsageError(problem, cure=f"name one of {', '.join(SOURCES)} with its place")
    name = places[0]
    source, root = SOURCES[name], absolute(location(given[name]))
    _refuse_options_of_others(source, [option for option in given if option not in SOURCES])
    if isinstance(root, ObjectPath) and not source.in_stores:
        raise UsageError("is not a local folder", path=root, cure=f"--{name} reads scans from disk: copy or mount them")
    return source.load().open_folder(root, **{option: given[option] for option in given if option not in SOURCES})


def open_found(place: Location) -> Dataset | Scan:
    """Open a place of any kind: a data set, or a scan if it is the file or folder of one scan.

    Raises:
        UsageError: no source recognises it; the message says what each of them missed.
        SourceError: it is a damaged scan.
    """
    from gapdata.sources.base import Dataset

    refusals: list[UsageError] = []
    for source in _candidates(place):
        try:
            found: Dataset | Scan = getattr(source.load(), source.found_by)(place)
        except UsageError as error:
            refusals.append(error)
            continue
        if isinstance(found, Dataset) and absolute(place) in map(absolute, found.scene_directories.values()):
            return found.open_scan(found.scene_ids[0])
        return found
    raise UsageError(" and ".join(error.problem for error in refusals), path=place, cure=refusals[-1].cure)


def _candidates(place: Location) -> list[Source]:
    """Return the sources that read a place of this sort: a folder in a store, on disk, or a file.

    Raises:
        UsageError: no source reads a file with this ending.
    """
    sources = [source for source in SOURCES.values() if source.in_stores or not isinstance(place, ObjectPath)]
    if not place.is_file():
        return sources
    reading = [source for source in sources if place.suffix.lower() in source.endings]
    if not reading:
        endings = " or ".join(ending for source in sources for ending in source.endings)
        raise UsageError(
            f"is not a {endings} file", path=place, cure=f"give a {endings} file, a scene, a dataset or a build"
        )
    return reading


def _all_options() -> list[str]:
    return list(dict.fromkeys(option for source in SOURCES.values() for option in source.options))


def _refuse_options_of_others(source: Source, options: list[str]) -> None:
    """Refuse options that the source would not look at.

    Raises:
        UsageError: there are some; the message names the sources that take them.
    """
    foreign = [option for option in options if option not in source.options]
    if foreign:
        owners = [name for name, other in SOURCES.items() if set(foreign) & set(other.options)]
        raise UsageError(
            f"{', '.join(map(as_option, foreign))} can be given with {' or '.join(map(as_option, owners))} only",
            cure="leave it out: other sources store this themselves",
        )


def as_option(name: str) -> str:
    """Return the option of the command line for a keyword: ``--depth-scale`` for ``depth_scale``."""
    return f"--{name.replace('_', '-')}"


def source_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that :func:`open_dataset` takes, without others."""
    known = {*SOURCES, *_all_options()}
    return {name: value for name, value in options.items() if name in known}
