"""The kinds of scans that the engine reads, by the name of their option: ``--scannet`` and ``scannet=``.

A source is one file and one row of :data:`SOURCES`. Importing this imports no source and nothing heavy: the help of the
command line reads it.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from gapdata.errors import SourceError, UsageError
from gapdata.files.folders import entries
from gapdata.files.object_store import ObjectPath
from gapdata.files.storage import Location, absolute, location
from gapdata.runtime.choices import check_choice
from gapdata.sources.source_facts import SourceFacts

if TYPE_CHECKING:
    from gapdata.sources.base import Dataset, Scan

FRAME_OPTIONS = ("depth_scale", "poses", "axes", "pose_units", "pose_shift", "depth_shift")
"""What a user may say about frames that were written by unknown tools; see
:func:`gapdata.sources.rgbd.open_folder`."""


SCANNETPP_OPTIONS = ("scannetpp_camera", "scannetpp_poses")
"""Which cameras and poses of ScanNet++ are read; see :func:`gapdata.sources.scannetpp.dataset.open_folder`."""


ANNOTATIONS = "annotations"
"""The option by which a source is given the annotation files of a build; see :func:`with_annotations`."""

OTHER_KIND = ("holds no ", "is not a ", "is a file")
"""How sources begin what they say of a place that holds other things than theirs."""


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
    captures: bool = False
    """Whether its folders may hold captures (:data:`gapdata.sources.captures.CAPTURES`)."""
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
        title="ScanNet",
        recognised_by="scans/, scans_test/, posed_images/ or scannet_frames_25k/ with folders such as scene0000_00, "
        "such a folder, or a .sens file",
        download="python download-scannet.py -o DIR --type .sens (and _vh_clean_2.ply, "
        "_vh_clean_2.0.010000.segs.json, .aggregation.json, .txt), with the script that ScanNet sends you",
        terms="ScanNet Terms of Use (signed form; non-commercial research), https://github.com/ScanNet/ScanNet",
        categories="scannetv2-labels.combined.tsv of the download",
        splits="scannetv2_train.txt, scannetv2_val.txt, scannetv2_test.txt, in DIR or above",
    ),
    "scannetpp": Source(
        module="gapdata.sources.scannetpp.dataset",
        options=SCANNETPP_OPTIONS,
        in_stores=True,
        found_by="open_found",
        help="the ScanNet++ download, or a folder of its scenes (a path, s3://... or gs://...): the iPhone's rgb.mkv "
        "(or extracted rgb/) with depth.bin and pose_intrinsic_imu.json, or the DSLR's stills with depth cast from the "
        "mesh",
        title="ScanNet++",
        recognised_by="data/ with folders such as 036bce3393 with iphone/, dslr/ or scans/ inside, or such folders",
        download="python download_scannetpp.py download_scannetpp.yml, with download_assets: [scan_mesh_path, "
        "scan_mesh_segs_path, scan_anno_json_path, iphone_video_path, iphone_depth_path, "
        "iphone_pose_intrinsic_imu_path, iphone_video_mask_path] and the token of your account",
        terms="ScanNet++ Terms of Use (account; non-commercial research), https://kaldir.vc.in.tum.de/scannetpp",
        categories="scannetpp.tsv; metadata/semantic_benchmark/map_benchmark.csv of the download",
        splits="splits/nvs_sem_train.txt, nvs_sem_val.txt, nvs_test.txt, sem_test.txt, in DIR or above",
    ),
    "3rscan": Source(
        module="gapdata.sources.threerscan.dataset",
        in_stores=True,
        found_by="open_found",
        help="the 3RScan download: folders named by scan ids with sequence.zip (read in place) or sequence/, "
        "semseg.v2.json and labels.instances.annotated.v2.ply; 3RScan.json and splits/ beside them",
        title="3RScan",
        recognised_by="folders such as 531cff08-0021-28f6-8e08-ba2eeb945e09, or such a folder with sequence.zip or "
        "sequence/",
        download="python download.py -o DIR --id ID --type sequence.zip (and semseg.v2.json, "
        "labels.instances.annotated.v2.ply), with the script that 3RScan sends you; 3RScan.json from "
        "http://campar.in.tum.de/public_datasets/3RScan/",
        terms="3RScan Terms of Use (signed form; non-commercial research), https://github.com/WaldJohannaU/3RScan",
        categories="3rscan.tsv",
        splits="3RScan.json, or splits/train.txt, val.txt, test.txt, in DIR or above",
    ),
    "arkitscenes": Source(
        module="gapdata.sources.arkitscenes",
        in_stores=True,
        help="the ARKitScenes download with 3dod/ or raw/ (a path, s3://... or gs://...), one of its folds, a folder "
        "of captures, or one capture",
        title="ARKitScenes",
        recognised_by="folders of 8 digits with <id>_frames/lowres_wide or lowres_wide/, lowres_wide.traj, or "
        "<id>_3dod_annotation.json",
        download="python3 download_data.py 3dod --video_id_csv threedod/3dod_train_val_splits.csv --download_dir DIR "
        "(confidence: raw --split FOLD --video_id ID --raw_dataset_assets confidence), from its repository",
        terms="Apple's licence of ARKitScenes (non-commercial, with a further grant), "
        "https://github.com/apple/ARKitScenes/blob/main/LICENSE",
        categories="arkitscenes.tsv",
        splits="metadata.csv, 3dod_train_val_splits.csv, raw_train_val_splits.csv, in DIR or above; else the folders "
        "Training and Validation",
    ),
    "ca1m": Source(
        module="gapdata.sources.ca1m",
        in_stores=True,
        help="a folder of CA-1M's tars (a path, s3://... or gs://...), ca1m-train-<id>.tar and ca1m-val-<id>.tar, read "
        "in place: captures of ARKitScenes with poses in a laser scanner's world and boxes of everything in the room",
        title="CA-1M",
        recognised_by="ca1m-train-<id>.tar or ca1m-val-<id>.tar, also in train/ and val/",
        download="curl -O each link of data/val.txt and data/train.txt of "
        "https://github.com/apple/ml-cubifyanything into DIR",
        terms="CC BY-NC-ND 4.0, https://creativecommons.org/licenses/by-nc-nd/4.0/",
        categories="none: the boxes have no classes, apart from wall, floor, ceiling and door_frame",
        splits="the names of the tars",
    ),
    "matterport3d": Source(
        module="gapdata.sources.matterport3d.dataset",
        options=(ANNOTATIONS,),
        in_stores=True,
        found_by="open_found",
        help="the Matterport3D download by regions, as EmbodiedScan uses it: folders of houses with "
        "matterport_color_images, _depth_images, _camera_poses and _camera_intrinsics (folders, or zips read in "
        "place); embodiedscan_infos_*.pkl or house_segmentations say which images show which region",
        title="Matterport3D",
        recognised_by="folders such as 17DRP5sb8fy, or v1/scans/ with them, with matterport_color_images/ or "
        "undistorted_color_images/ inside, or their zips",
        download="python download_mp.py -o DIR --id HOUSE --type matterport_color_images matterport_depth_images "
        "matterport_camera_poses matterport_camera_intrinsics house_segmentations region_segmentations, with the "
        "script that Matterport3D sends you; boxes: embodiedscan_infos_*.pkl of EmbodiedScan",
        terms="Matterport End User Licence Agreement (signed form; non-commercial), "
        "https://niessner.github.io/Matterport/",
        categories="EmbodiedScan's names, and aliases.tsv",
        splits="scenes_train.txt, scenes_val.txt, scenes_test.txt, in DIR or above",
    ),
    "rgbd": Source(
        module="gapdata.sources.rgbd",
        options=FRAME_OPTIONS,
        captures=True,
        help="a folder of RGB-D frames, or of such folders: color/ depth/ and pose/ or one trajectory.log or traj.txt, "
        "or rgb.txt depth.txt groundtruth.txt (TUM), or a capture (`gapdata sources` lists them), "
        "with intrinsics.json {fx, fy, cx, cy[, width, height, depth_scale]} or intrinsics.txt (fx fy cx cy, 3x3, 4x4)",
        title="folders of RGB-D frames",
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
    try:
        return source.load().open_folder(root, **{option: given[option] for option in given if option not in SOURCES})
    except UsageError as error:
        cure = _way_out(name, root, error.cure) if error.path == str(root) else None
        if cure is None:
            raise
        raise UsageError(error.problem, path=root, cure=cure) from error


def _way_out(name: str, root: Location, cure: str | None) -> str | None:
    """Return what to do where a place does not hold what its option reads; ``None`` where the reader knows better."""
    get = SOURCES[name].how_to_get()
    try:
        if not root.exists() or (isinstance(root, Path) and root.is_dir() and not any(entries(root))):
            return "; ".join(filter(None, (cure, get)))
        other = recognised_as(root)
    except OSError:
        return None  # a place that cannot be listed: the reader has said so
    return None if other in (None, name) else f"this looks like {title_of(other)}: use {as_option(other)}"


def open_found(place: Location) -> Dataset | Scan:
    """Open a place of any kind: a data set, or a scan if it is the file or folder of one scan.

    Raises:
        UsageError: no source recognises it; the message says what was looked for and what lies there.
        SourceError: it is a damaged scan.
    """
    from gapdata.sources.base import Dataset

    _, found = open_by_content(place)
    if isinstance(found, Dataset) and [absolute(place)] == list(map(absolute, found.scene_directories.values())):
        return found.open_scan(found.scene_ids[0])
    return found


def recognised_as(place: Location) -> str | None:
    """Return the name of the source that reads a place, by its content; ``None`` where none does."""
    from gapdata.sources.base import Scan

    try:
        name, found = open_by_content(place)
    except (UsageError, SourceError):
        return None
    if isinstance(found, Scan):
        found.close()
    return name


def open_by_content(place: Location) -> tuple[str, Dataset | Scan]:
    """Return the name of the first source that opens a place, and what it opened.

    Raises:
        UsageError: no source recognises it; the message says what was looked for and what lies there.
        SourceError: the first one that recognises it says that it is damaged.
    """
    refusals: dict[str, UsageError] = {}
    for name, source in _candidates(place).items():
        try:
            found = getattr(source.load(), source.found_by)(place)
            return _whole_scene(place) or (name, found) if source.captures else (name, found)
        except UsageError as error:
            if error.path not in (str(place), str(absolute(place))) or not error.problem.startswith(OTHER_KIND):
                raise  # of a list of scenes inside, or of something that is missing: the source has recognised it
            refusals[name] = error
    whole = _whole_scene(place)
    if whole is not None:
        return whole
    *others, _ = map(title_of, refusals)
    last = list(refusals.values())[-1]
    nor = f", nor does it look like {' or '.join(filter(None, (', '.join(others[:-1]), others[-1])))}" if others else ""
    cure = "; ".join(filter(None, (last.cure, "`gapdata sources` lists what is recognised")))
    raise UsageError(last.problem + nor, path=place, cure=cure)


def _whole_scene(place: Location) -> tuple[str, Scan] | None:
    """Return the scene that a folder of frames is only a part of, such as ScanNet++'s ``dslr/nerfstudio/``."""
    from gapdata.sources.base import Scan

    for above in (absolute(place).parent, absolute(place).parent.parent):
        for name, source in SOURCES.items():
            if source.captures or source.found_by == "open_folder" or (not source.in_stores and not above.is_dir()):
                continue
            try:
                found = getattr(source.load(), source.found_by)(above)
            except (UsageError, SourceError):
                continue
            if isinstance(found, Scan):
                return name, found
    return None


def _candidates(place: Location) -> dict[str, Source]:
    """Return the sources that read a place of this sort: a folder in a store, on disk, or a file.

    Raises:
        UsageError: no source reads a file with this ending.
    """
    sources = {name: row for name, row in SOURCES.items() if row.in_stores or not isinstance(place, ObjectPath)}
    if not place.is_file():
        return sources
    endings = {name: (*row.endings, *(_capture_endings() if row.captures else ())) for name, row in sources.items()}
    reading = {name: row for name, row in sources.items() if place.suffix.lower() in endings[name]}
    if not reading:
        known = " or ".join(dict.fromkeys(ending for name in sources for ending in endings[name]))
        raise UsageError(
            f"is not a {known} file", path=place, cure=f"give a {known} file, a scene, a dataset or a build"
        )
    return reading


def _capture_endings() -> list[str]:
    from gapdata.sources.captures import CAPTURES

    return [ending for capture in CAPTURES.values() for ending in capture.endings]


def title_of(name: str) -> str:
    """Return how a source is called in messages."""
    return SOURCES[name].title or name


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
    """Return the options that :func:`open_dataset` takes, without others and without annotations."""
    known = {*SOURCES, *_all_options()} - {ANNOTATIONS}
    return {name: value for name, value in options.items() if name in known}


def with_annotations(named: Mapping[str, Any], annotations: Sequence[Any]) -> dict[str, Any]:
    """Return arguments of :func:`open_dataset` with the annotation files of a build, if the source takes them."""
    sources = [SOURCES[name] for name, value in named.items() if name in SOURCES and value is not None]
    takes = any(ANNOTATIONS in source.options for source in sources)
    return {**named, ANNOTATIONS: tuple(annotations)} if takes and ANNOTATIONS not in named else dict(named)
