"""Targets that a build reads: scans, their annotation, and other people's files about them."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gapdata.errors import SourceError
from tests.fuzz.cases import attempt, linked, replaced
from tests.fuzz.mutations import damaged, damaged_json, damaged_tree, pick, written


def sens(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """``.sens`` files."""
    from gapdata.commands.inspect import format_facts
    from gapdata.sources.sens import SensReader

    known = [path.read_bytes() for path in sorted(seeds.glob("*.sens"))]
    path = scratch / "scene0000_00.sens"

    def case(rng: np.random.Generator) -> int:
        data = damaged(pick(rng, known), rng, known)
        path.write_bytes(data)
        with SensReader(path) as reader:
            format_facts(reader.describe())
            for frame in range(min(len(reader), 8)):
                for reduction in (1, 4):
                    attempt(lambda frame=frame, reduction=reduction: reader.color(frame, reduction))  # type: ignore[misc]
                attempt(lambda frame=frame: reader.depth(frame))  # type: ignore[misc]
        return len(data)

    return case


def annotation_files(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """Annotation files as ``build-shards --annotations`` meets them: the kind is told by the content."""
    from gapdata.annotations.bundle import gather
    from gapdata.annotations.embodiedscan import read_embodiedscan
    from gapdata.annotations.gap_json import read_conversations
    from gapdata.annotations.proposals import read_masks, read_proposals
    from gapdata.annotations.scanrefer import read_descriptions
    from tests.fuzz.seeds import conversations, descriptions, embodied, forged_npy, npz_members, proposals

    pickles = [path.read_bytes() for path in sorted(seeds.glob("*.pkl"))]
    archives = [path.read_bytes() for path in sorted(seeds.glob("*.mask.npz"))]
    trees = (conversations(), descriptions(), proposals(), [*descriptions(), *conversations()])
    readers = (read_conversations, read_descriptions, read_proposals, read_embodiedscan)
    arrays: tuple[object, ...] = (
        np.zeros((4, 4)),
        np.full(9, np.nan),
        np.zeros((2, 2, 2, 2)),
        np.float32(2),
        np.array(["x"]),
        b"x",
        (),
    )
    arrays += (np.arange(3), np.zeros((0, 4)), np.array(3), (1, 2), np.int64(-5), np.eye(4) * 1e300)

    def pickled(rng: np.random.Generator) -> bytes:
        if rng.random() < 0.5:
            return damaged(pick(rng, pickles), rng, pickles)
        tree = damaged_tree(embodied(), rng, arrays)
        try:
            return pickle.dumps(tree, protocol=int(rng.integers(2, 6)))
        except (UnicodeEncodeError, OverflowError):
            return pick(rng, pickles)

    def masks(rng: np.random.Generator) -> bytes:
        if rng.random() < 0.5:
            return damaged(pick(rng, archives), rng, archives)
        members = npz_members()
        name = pick(rng, tuple(members))
        changed = forged_npy(rng) if rng.random() < 0.6 else damaged(members[name], rng, tuple(members.values()))
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for other, data in {**members, name: changed}.items():
                archive.writestr(f"{other}.npy", data)
        return buffer.getvalue()

    def text(rng: np.random.Generator) -> bytes:
        tree = pick(rng, trees)
        if isinstance(tree, list) and rng.random() < 0.3:
            lines = [written(damaged_tree(item, rng)) if rng.random() < 0.4 else written(item) for item in tree]
            return b"\n".join(lines)
        return damaged_json(tree, rng)

    def case(rng: np.random.Generator) -> int:
        make, name = pick(
            rng, ((pickled, "x_val.pkl"), (masks, "scene0000_00.mask.npz"), (text, "x.json")) + ((text, "x.json"),) * 2
        )
        path, data = scratch / name, make(rng)
        path.write_bytes(data)

        def gathered() -> None:
            for scene in gather([path], {"scene0000_00", "scene0001_00"}).scenes.values():
                scene.from_json(scene.to_json())

        attempt(gathered)
        if make is masks:
            attempt(lambda: read_masks(path).boxes(np.zeros((12, 3))))
        else:
            found = pick(rng, readers)
            attempt(lambda: found(path))
        return len(data)

    return case


def scene_json(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """A scene's annotations as a build's workers read them."""
    from gapdata.annotations.scene_annotations import SceneAnnotations

    tree = json.loads((seeds / "annotations.json").read_bytes())

    def case(rng: np.random.Generator) -> int:
        data = damaged_json(tree, rng)
        SceneAnnotations.from_json(data).to_json()
        return len(data)

    return case


def mask_archive(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """Zips of instance masks."""
    from gapdata.records.codec import encode_png
    from gapdata.sources.mask_archive import MaskArchive
    from tests.fuzz.seeds import forged_zip_member

    sound = next(seeds.glob("*_2d-instance-filt.zip")).read_bytes()
    png = encode_png(np.zeros((30, 40), np.uint8))
    path = scratch / "scene0000_00_2d-instance-filt.zip"
    names = ("instance-filt/0.png", "../0.png", "/instance/0.png", "instance/00000000000.png", "instance-filt\\0.png")

    def case(rng: np.random.Generator) -> int:
        if rng.random() < 0.6:
            data = damaged(sound, rng)
        else:
            data = forged_zip_member(pick(rng, names), damaged(png, rng) if rng.random() < 0.8 else bytes(1 << 20))
        path.write_bytes(data)
        archive = MaskArchive(path, "scene0000_00")
        try:
            archive.digest_input()
            for frame in (0, 1, 2, 7):
                attempt(lambda frame=frame: archive.mask(frame, (40, 30)))  # type: ignore[misc]
        finally:
            archive.close()
        return len(data)

    return case


def scene_folder(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """A scene's mesh, segments, aggregation, text and the label map."""
    from gapdata.annotations.taxonomy import read_label_map
    from gapdata.sources.scene_files import SceneFiles

    folder = scratch / "scene0000_00"
    folder.mkdir()
    for source in seeds.glob("scene0000_00*"):
        os.link(source, folder / source.name)
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".ply", ".json", ".txt")}
    mesh = next(data for name, data in files.items() if name.endswith(".ply"))
    end = mesh.index(b"end_header\n") + len(b"end_header\n")
    header = mesh[:end].replace(b"binary_little_endian", b"ascii")
    corners = b"\n".join(b"%d %d %d 1 2 3 255" % (i, i * i, -i) for i in range(24)) + b"\n"
    plain = header + corners + b"\n".join(b"3 %d %d %d" % (i, i + 1, i + 2) for i in range(12)) + b"\n"
    words = (b"0", b"-1", b"4294967295", b"99999999999999999999", b"1e9", b"nan", b"x", b"double", b"list", b"vertex")
    trees = {name: json.loads(data) for name, data in files.items() if name.endswith(".json")}
    labels = (seeds / "labels.tsv").read_bytes()

    def ply(rng: np.random.Generator) -> bytes:
        data = plain if rng.random() < 0.3 else mesh
        head, rest = data[:end], data[end:]
        if rng.random() < 0.6:
            parts = head.split(b" ")
            parts[int(rng.integers(len(parts)))] = pick(rng, words) + pick(rng, (b"", b"\n"))
            head = b" ".join(parts)
        return head + (damaged(rest, rng) if rng.random() < 0.5 else rest)

    def case(rng: np.random.Generator) -> int:
        if rng.random() < 0.15:
            path, data = scratch / "labels.tsv", damaged(labels, rng)
            path.write_bytes(data)
            table = read_label_map(path)
            for name in ("wall", "office chair", "furnace", ""):
                table.labels(name)
            return len(data)
        name = pick(rng, tuple(files))
        data = damaged_json(trees[name], rng) if name in trees else ply(rng) if name.endswith(".ply") else b""
        if not data or (rng.random() < 0.2 and name not in trees):
            data = damaged(files[name], rng)
        with replaced(folder / name, data):
            scene = SceneFiles(folder)
            attempt(scene.digest_input)
            attempt(lambda: scene.axis_alignment)
            attempt(scene.annotation)
        return len(data)

    return case


def image_files(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """Depth and colour files of every kind that a folder of frames may hold."""
    import cv2

    from gapdata.sources.color_files import color_size, decode_color_file
    from gapdata.sources.depth_files import decode_depth, depth_kind, median_depth
    from tests.fuzz.seeds import forged_npy

    random = np.random.default_rng(0)
    depth = random.integers(0, 5000, (15, 20)).astype(np.uint16)
    buffer = io.BytesIO()
    np.save(buffer, depth / np.float32(1000))
    window = struct.pack("<I4i", 16, 0, 0, 19, 14)
    exr = b"\x76\x2f\x31\x01\x02\0\0\0dataWindow\0box2i\0" + window + bytes(40)
    picture = cv2.resize(random.integers(0, 255, (4, 5, 3), dtype=np.uint8), (20, 15))
    floats = depth.astype(np.float32)
    options = ((floats, ()), (depth, ()), (floats, (cv2.IMWRITE_TIFF_COMPRESSION, 1)), (picture, ()))
    known = [cv2.imencode(".tiff", image, chosen)[1].tobytes() for image, chosen in options]
    known += [cv2.imencode(ending, picture)[1].tobytes() for ending in (".bmp", ".webp")]
    known += [cv2.imencode(".png", depth)[1].tobytes(), buffer.getvalue(), exr]

    def case(rng: np.random.Generator) -> int:
        data = forged_npy(rng) if rng.random() < 0.15 else damaged(pick(rng, known), rng, known)

        def read_depth() -> None:
            kind = named(depth_kind, data)
            if kind.size[0] * kind.size[1] <= 1 << 20:
                named(decode_depth, data, kind.size, 1.0 if kind.floats else None)
                named(median_depth, data)

        def read_color() -> None:
            size = named(color_size, data)
            if size[0] * size[1] <= 1 << 20:
                decode_color_file(data)

        attempt(read_depth)
        attempt(read_color)
        return len(data)

    return case


def named(read: Callable[..., Any], *arguments: Any) -> Any:
    """What a reader of bytes gives; its ``ValueError`` becomes the error of a source, as in a scan."""
    try:
        return read(*arguments)
    except ValueError as error:
        raise SourceError(str(error)) from error


def frame_folder(seeds: Path, scratch: Path) -> Callable[[np.random.Generator], int]:
    """Extracted frames: images, poses and intrinsics."""
    from gapdata.commands.inspect import format_facts
    from gapdata.sources.rgbd import RgbdFolder

    folder = linked(seeds / "frames", scratch / "frames")
    files = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    cameras = json.loads((folder / "intrinsics.json").read_bytes())

    def case(rng: np.random.Generator) -> int:
        path = pick(rng, tuple(files))
        same = [data for other, data in files.items() if other.suffix == path.suffix]
        data = damaged_json(cameras, rng) if path.suffix == ".json" else damaged(files[path], rng, same)
        with replaced(path, data), RgbdFolder.open(folder).open_scan("frames") as scan:
            attempt(lambda: format_facts(scan.describe()))
            for frame in np.flatnonzero(scan.present)[:4].tolist():
                attempt(lambda frame=frame: scan.color(frame, 2))  # type: ignore[misc]
                attempt(lambda frame=frame: scan.depth(frame))  # type: ignore[misc]
                attempt(lambda frame=frame: scan.color_jpeg(frame))  # type: ignore[misc]
        return len(data)

    return case
