"""What is fuzzed: for each kind of input, how a case damages a sound file and what then reads it.

A reader may refuse what it is given with an error of :mod:`gapdata.errors`, or take it; anything else is a finding.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.fuzz.arkit_targets import arkit_capture
from tests.fuzz.benchmark_targets import benchmark_files
from tests.fuzz.build_targets import build_folder, record, shards
from tests.fuzz.capture_targets import record3d_capture, stray_capture
from tests.fuzz.cases import Target
from tests.fuzz.format_targets import format_folders, format_texts
from tests.fuzz.listed_targets import listed_capture
from tests.fuzz.room_targets import matterport_download, threerscan_download
from tests.fuzz.scannetpp_targets import scannetpp_scene
from tests.fuzz.source_targets import (
    annotation_files,
    frame_folder,
    image_files,
    mask_archive,
    scene_folder,
    scene_json,
    sens,
)
from tests.fuzz.text_targets import answers, predictions, recipes

TARGETS: Mapping[str, Target] = {
    make.__name__: Target(name=make.__name__, share=share, make=make)
    for make, share in (
        *((sens, 15), (annotation_files, 25), (scene_json, 6), (mask_archive, 8), (scene_folder, 10)),
        *(
            (frame_folder, 5),
            (arkit_capture, 5),
            (threerscan_download, 4),
            (matterport_download, 4),
            (stray_capture, 5),
            (record3d_capture, 4),
            (listed_capture, 6),
            (scannetpp_scene, 5),
            (benchmark_files, 12),
            (format_folders, 6),
            (format_texts, 20),
            (image_files, 6),
            (record, 10),
            (shards, 8),
            (build_folder, 3),
            (recipes, 3),
            (predictions, 2),
            (answers, 5),
        ),
    )
}
