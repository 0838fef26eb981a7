"""Writes what the usual exporters make of a ``.sens``: ScanNet's two, EmbodiedScan's, and the 25,000-frame subset."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from gapdata.sources.sens import SensReader
from gapdata.synthetic.sens_writer import SensWriter
from tests.support.scannet_scenes import COLOR, DEPTH, write_scene


def write_textured_scene(folder: Path, frames: int, *, lost: tuple[int, ...] = ()) -> Path:
    """A handmade scene whose images have texture, so that encoding them again shows."""
    write_scene(folder, frames, lost=lost)
    path = folder / f"{folder.name}.sens"
    u, v = np.meshgrid(np.arange(COLOR.width), np.arange(COLOR.height))
    edited = folder / "edited.sens"
    with (
        SensReader(path) as sens,
        SensWriter(edited, color_intrinsics=COLOR, depth_intrinsics=DEPTH) as writer,
    ):
        for frame in range(frames):
            waves = [127 + 90 * np.sin((u * a + v * b + 7 * frame) / 9) for a, b in ((1, 0), (0.6, 0.8), (-0.3, 1))]
            image = np.stack(waves, axis=-1).astype(np.uint8)
            writer.write(
                color=cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes(),
                depth=sens.depth(frame),
                camera_to_world=sens.camera_to_world[frame],
            )
    edited.replace(path)
    return folder


def matrix_text(matrix: np.ndarray) -> str:
    """As ``np.savetxt(..., fmt="%f")`` writes it: 6 decimals."""
    return "".join(" ".join(f"{value:f}" for value in row) + "\n" for row in matrix)


def homogeneous(matrix: np.ndarray) -> np.ndarray:
    padded = np.eye(4)
    padded[:3, :3] = matrix[:3, :3]
    return padded


def encoded_again(jpeg: bytes) -> bytes:
    """What exporters that decode the JPEG write: imageio's quality of 75."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 75])[1].tobytes()


def copied(jpeg: bytes) -> bytes:
    return jpeg


def png(depth: np.ndarray) -> bytes:
    return cv2.imencode(".png", depth)[1].tobytes()


def pgm(depth: np.ndarray) -> bytes:
    return b"P5\n%d %d\n65535\n" % (depth.shape[1], depth.shape[0]) + depth.astype(">u2").tobytes()


def write(path: Path, data: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def export_official(
    sens: SensReader, out: Path, step: int = 1, color: Callable[[bytes], bytes] = encoded_again
) -> None:
    """``SensReader/python``: unpadded raw indices."""
    for frame in range(0, len(sens), step):
        write(out / "color" / f"{frame}.jpg", color(sens.color_bytes(frame)))
        write(out / "depth" / f"{frame}.png", png(sens.depth(frame)))
        write(out / "pose" / f"{frame}.txt", matrix_text(sens.camera_to_world[frame]))
    for name, matrix in (("color", sens.color_intrinsics.matrix), ("depth", sens.depth_intrinsics.matrix)):
        write(out / "intrinsic" / f"intrinsic_{name}.txt", matrix_text(homogeneous(matrix)))
        write(out / "intrinsic" / f"extrinsic_{name}.txt", matrix_text(np.eye(4)))


def export_posed_images(
    sens: SensReader, out: Path, step: int = 10, color: Callable[[bytes], bytes] = encoded_again
) -> None:
    """EmbodiedScan's ``generate_image_scannet.py --fast``."""
    for frame in range(0, len(sens), step):
        write(out / f"{frame:05d}.jpg", color(sens.color_bytes(frame)))
        write(out / f"{frame:05d}.png", png(sens.depth(frame)))
        write(out / f"{frame:05d}.txt", matrix_text(sens.camera_to_world[frame]))
    write(out / "intrinsic.txt", matrix_text(homogeneous(sens.color_intrinsics.matrix)))
    write(out / "depth_intrinsic.txt", matrix_text(homogeneous(sens.depth_intrinsics.matrix)))


def export_frames_25k(
    sens: SensReader, out: Path, step: int = 100, color: Callable[[bytes], bytes] = encoded_again
) -> None:
    """A scene of ``scannet_frames_25k``."""
    for frame in range(0, len(sens), step):
        write(out / "color" / f"{frame:06d}.jpg", color(sens.color_bytes(frame)))
        write(out / "depth" / f"{frame:06d}.png", png(sens.depth(frame)))
        write(out / "pose" / f"{frame:06d}.txt", matrix_text(sens.camera_to_world[frame]))
    write(out / "intrinsics_color.txt", matrix_text(homogeneous(sens.color_intrinsics.matrix)))
    write(out / "intrinsics_depth.txt", matrix_text(homogeneous(sens.depth_intrinsics.matrix)))


def export_seven_scenes(sens: SensReader, out: Path, step: int = 1, color: Callable[[bytes], bytes] = copied) -> None:
    """``SensReader/c++``: it copies the JPEG and writes six significant digits."""
    cameras = {"Color": sens.color_intrinsics, "Depth": sens.depth_intrinsics}
    lines = ["m_versionNumber = 4", "m_sensorName = StructureSensor"]
    for name, camera in cameras.items():
        lines += [f"m_{name.lower()}Width = {camera.width}", f"m_{name.lower()}Height = {camera.height}"]
    lines.append(f"m_depthShift = {sens.depth_units_per_metre:g}")
    for name, camera in cameras.items():
        values = " ".join(f"{value:g}" for value in homogeneous(camera.matrix).flat)
        lines += [f"m_calibration{name}Intrinsic = {values} ", f"m_calibration{name}Extrinsic = 1 0 0 0 0 1 0 0 "]
        lines[-1] += "0 0 1 0 0 0 0 1 "
    write(out / "_info.txt", "\n".join([*lines, f"m_frames.size = {len(sens)}", ""]))
    for frame in range(0, len(sens), step):
        stem = out / f"frame-{frame:06d}"
        write(stem.with_name(f"{stem.name}.color.jpg"), color(sens.color_bytes(frame)))
        write(stem.with_name(f"{stem.name}.depth.pgm"), pgm(sens.depth(frame)))
        rows = (" ".join(f"{value:g}" for value in row) for row in sens.camera_to_world[frame])
        write(stem.with_name(f"{stem.name}.pose.txt"), "\n".join(rows) + "\n")
