"""The annotation files that are known: what each is told by and gives, where it comes from, and under which terms.

The page's table of annotation files has these rows; ``gapdata inspect FILE`` prints the one of a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gapdata.annotations.recognition import FileKind


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFile:
    """One row: texts for people."""

    title: str
    files: str
    told_by: str
    gives: str
    comes_from: str
    terms: str


KNOWN_FILES: Mapping[FileKind, KnownFile] = {
    "embodiedscan": KnownFile(
        title="EmbodiedScan",
        files="embodiedscan_infos_*.pkl",
        told_by="a pickle with data_list (read, never run)",
        gives="oriented boxes, axis alignment, which frames show which object",
        comes_from="github.com/OpenRobotLab/EmbodiedScan",
        terms="its form's",
    ),
    "descriptions": KnownFile(
        title="ScanRefer, Scan2Cap",
        files="ScanRefer_filtered_*.json",
        told_by="scene_id, object_id, description",
        gives="descriptions",
        comes_from="github.com/daveredrum/ScanRefer",
        terms="CC BY-NC-SA 3.0",
    ),
    "multi3drefer": KnownFile(
        title="Multi3DRefer",
        files="multi3drefer_*.json",
        told_by="scene_id, object_ids, description",
        gives="descriptions of one object; those of none and of several are counted",
        comes_from="3dlg-hcvc.github.io/multi3drefer",
        terms="as its page says; its texts are made from ScanRefer's",
    ),
    "referit3d": KnownFile(
        title="ReferIt3D: Nr3D, Sr3D",
        files="nr3d.csv, sr3d.csv",
        told_by="the columns scan_id, target_id, utterance, instance_type",
        gives="descriptions that say the class and that a listener understood",
        comes_from="github.com/referit3d/referit3d",
        terms="MIT",
    ),
    "proposals": KnownFile(
        title="Mask3D's boxes",
        files="*_pred_box.json",
        told_by="lists of six numbers by scene",
        gives="proposals",
        comes_from="LEO, VG-LLM",
        terms="as its source says",
    ),
    "masks": KnownFile(
        title="Mask3D's masks",
        files="SCENE.mask.npz",
        told_by="a zip of arrays, with the scene in its name",
        gives="proposals",
        comes_from="LEO",
        terms="as its source says",
    ),
    "conversations": KnownFile(
        title="GAP-MLLM, VG-LLM",
        files="scannet_det_*.json and others",
        told_by="images and conversations",
        gives="conversations about listed frames, verbatim",
        comes_from="huggingface.co/datasets/zd11024/VG-LLM-Data",
        terms="as its card says",
    ),
    "vsi-bench": KnownFile(
        title="VSI-Bench",
        files="test.jsonl, test-*.parquet, also debiased and pruned",
        told_by="scene_name, question_type, question, ground_truth",
        gives="questions about a scan of ScanNet, ARKitScenes or ScanNet++",
        comes_from="huggingface.co/datasets/nyu-visionx/VSI-Bench",
        terms="Apache 2.0",
    ),
    "spar": KnownFile(
        title="SPAR-7M",
        files="qa_jsonl/*/*.jsonl, spar_234k.json of VG-LLM",
        told_by="conversations with a type of SPAR's, or spar_info",
        gives="questions about listed frames of ScanNet",
        comes_from="huggingface.co/datasets/jasonzhango/SPAR-7M",
        terms="MIT",
    ),
    "spar-bench": KnownFile(
        title="SPAR-Bench",
        files="test-*.parquet",
        told_by="task, img_type, image, question, answer",
        gives="questions whose images name scene and frame; the Hub's hold the images without names and are counted",
        comes_from="huggingface.co/datasets/jasonzhango/SPAR-Bench",
        terms="as its card says",
    ),
    "scanqa": KnownFile(
        title="ScanQA",
        files="ScanQA_v1.0_*.json",
        told_by="scene_id, question_id, question",
        gives="questions about a scan, with all accepted answers",
        comes_from="github.com/ATR-DBI/ScanQA",
        terms="CC BY-NC-SA 3.0",
    ),
    "sqa3d": KnownFile(
        title="SQA3D in one file",
        files="a list, JSON lines or Parquet",
        told_by="scene_id, question_id, question, situation",
        gives="questions asked from a described situation in a scan",
        comes_from="others' versions of it on the Hub",
        terms="CC BY 4.0",
    ),
    "sqa3d questions": KnownFile(
        title="SQA3D's questions",
        files="v1_balanced_questions_*.json",
        told_by="one object with the list questions",
        gives="the same, together with its annotations",
        comes_from="zenodo.org/record/7792397",
        terms="CC BY 4.0",
    ),
    "sqa3d answers": KnownFile(
        title="SQA3D's annotations",
        files="v1_balanced_sqa_annotations_*.json",
        told_by="one object with the list annotations",
        gives="the answers to its questions",
        comes_from="zenodo.org/record/7792397",
        terms="CC BY 4.0",
    ),
}
"""By the kind of :func:`gapdata.annotations.recognition.recognise`; an empty list has no row."""
