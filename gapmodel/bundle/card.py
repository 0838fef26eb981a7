"""The card of a bundled model: README.md with the metadata that the Hugging Face Hub reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from huggingface_hub import EvalResult, ModelCardData

from gapdata.runtime.counting import counted
from gapmodel.bundle.flat_code import NEEDED
from gapmodel.bundle.lineage import Lineage, permissive
from gapmodel.bundle.scores import CardScores
from gapmodel.evaluation.tables import Table, in_markdown, without_empty_columns
from gapmodel.processing import ProcessorConfig

LANGUAGE_MODEL = "Apache-2.0"
"""Licence of Qwen3-VL's weights and of our code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """The geometry encoder of a bundle."""

    name: str
    source: str  # on the Hub; empty if it is this project's own
    licence: str
    included: bool
    fingerprint: str
    """SHA-256 of its tensors, rounded to bfloat16; empty where they are included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """All that a card says."""

    name: str
    encoder: Encoder
    fusion: str
    parameters: int
    sight: ProcessorConfig
    frames: int | None  # most frames of a view in training; None if unknown
    lineage: Lineage
    questions: Mapping[str, str]  # of the tasks that were taught, in the words of training
    datasets: tuple[str, ...]  # names on the Hub
    licence: str  # as the user states it; empty if not
    scores: tuple[CardScores, ...]


def licence_of(card: Card) -> tuple[str, str]:
    """Return the licence of the whole directory, by the Hub's identifier, and why it is that one.

    A part that may not be given on under any other terms makes it ``other``.
    """
    encoder = card.encoder
    if encoder.included and not permissive(encoder.licence):
        return "other", f"it includes the weights of {encoder.source or encoder.name}, licence {encoder.licence}"
    if card.licence:
        return card.licence.lower(), "its publisher says so"
    closed = [scans.title for scans in card.lineage.scans if not scans.redistributable]
    if closed:
        return "other", f"it was trained on scans that have terms of their own: {', '.join(closed)}"
    if not card.lineage.scans:
        return "other", "it is not stated what it was trained on"
    return LANGUAGE_MODEL.lower(), "all its parts and the scans that it was trained on allow it"


def model_card(card: Card) -> str:
    """Return the text of README.md."""
    parts = [f"# {card.name}", _introduction(card), _usage(card), _input(card)]
    parts += [_questions(card.questions)] if card.questions else []
    parts.append(_made_from(card))
    parts += [_scores(card.scores)] if card.scores else []
    parts += [_audit(card.scores)] if any(scores.audit for scores in card.scores) else []
    parts.append(_terms(card))
    return f"---\n{_metadata(card).to_yaml()}\n---\n\n" + "\n\n".join(parts) + "\n"


def _metadata(card: Card) -> ModelCardData:
    licence, _ = licence_of(card)
    base = [*card.lineage.base_models, *([card.encoder.source] if card.encoder.source else [])]
    results = [
        EvalResult(
            task_type="image-text-to-text",
            task_name=figure.task,
            dataset_type="rgb-d-scans",
            dataset_name="held-out scenes",
            dataset_split=scores.split,
            metric_type=figure.figure.name,
            metric_name=f"{figure.figure.name} (95 % interval {figure.range_text()})" if figure.interval else None,
            metric_value=round(figure.figure.value, 6),
        )
        for scores in card.scores
        for figure in scores.figures
    ]
    return ModelCardData(
        language="en",
        license=licence,
        license_name="terms-of-its-parts" if licence == "other" else None,
        license_link="README.md#licence" if licence == "other" else None,
        library_name="transformers",
        pipeline_tag="image-text-to-text",
        base_model=base or None,
        datasets=list(card.datasets) or None,
        tags=["3d", "spatial-reasoning", "geometry", "multi-view", "custom_code"],
        model_name=card.name,
        eval_results=results or None,
    )


def _introduction(card: Card) -> str:
    base = " and ".join(card.lineage.base_models) or "a language model of Qwen3-VL's architecture"
    source = card.encoder.source or "a small encoder of VGGT's kind"
    tasks = ", ".join(task.replace("_", " ") for task in card.lineage.taught)
    said = [
        "A multimodal language model that is given geometry: it looks at several frames of an indoor scene and answers "
        "questions about what is where, in metres.",
        f"The frames pass two encoders, the vision tower of {base} and a geometry encoder ({source}), whose "
        f"features are fused level by level (`{card.fusion}`), after GAP-MLLM "
        "([arXiv 2603.16461](https://arxiv.org/abs/2603.16461)).",
        f"{card.parameters / 1e6:,.1f} million parameters, geometry encoder included.",
    ]
    return " ".join([*said, *([f"It was taught: {tasks}."] if tasks else [])])


def _usage(card: Card) -> str:
    packages = " ".join(NEEDED[name] for name in ("torch", "transformers", "PIL", "cv2"))
    encoder = card.encoder
    text = next(iter(card.questions.values()), "What is marked, and where is it?")
    lines = [
        "## Use",
        f"```console\n$ pip install {packages}\n```",
        f"It was made with transformers {version('transformers')}; earlier ones than 5.23 do not load it.",
        "`MODEL` is this directory, or its name on the Hub. Its code is in the files beside the weights; "
        "`trust_remote_code=True` runs them.",
        "```python\nfrom PIL import Image\nfrom transformers import AutoModelForImageTextToText, AutoProcessor\n\n"
        'MODEL = "."\n'
        "model = AutoModelForImageTextToText.from_pretrained(MODEL, trust_remote_code=True).eval()\n"
        "processor = AutoProcessor.from_pretrained(MODEL, trust_remote_code=True)\n\n"
        'frames = [Image.open(f"{index}.jpg") for index in range(2)]\n'
        "content = [\n"
        '    {"type": "image", "image": frames[0], "mark": [120, 80]},  # a cross on this pixel (column, row)\n'
        '    {"type": "image", "image": frames[1]},\n'
        f'    {{"type": "text", "text": {text!r}}},\n'
        "]\n"
        "inputs = processor.apply_chat_template(\n"
        '    [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=True, return_dict=True\n'
        ").to(model.device)\n"
        "answer = model.generate(**inputs, max_new_tokens=128)\n"
        'print(processor.decode(answer[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))\n```',
        '`pipeline("image-text-to-text", model=MODEL, trust_remote_code=True)` takes the same messages, and '
        "`transformers serve MODEL --trust-remote-code` those of OpenAI's API, whose images cannot have a `mark`: draw "
        "it yourself.",
    ]
    if not encoder.included:
        lines.append(
            f"**The geometry encoder's weights are not in this directory.** They are those of "
            f"[{encoder.source}](https://huggingface.co/{encoder.source}), licence {encoder.licence}. They are taken "
            f"from the Hub's cache or downloaded when the model is loaded (`hf download {encoder.source} "
            "model.safetensors`), or read from a file: `from_pretrained(MODEL, geometry_weights=FILE, ...)`. The model "
            f"refuses other weights (`geometry_fingerprint` in `config.json`: {encoder.fingerprint[:16]}...)."
        )
    return "\n\n".join(lines)


def _input(card: Card) -> str:
    width, height = card.sight.image_size
    if card.sight.paper_preprocessing:
        seen = "Frames are resized to a width of 518 pixels, as GAP-MLLM does"
    elif card.sight.keep_aspect:
        seen = f"Frames keep their aspect and are resized to the area of {width}x{height}"
    else:
        seen = f"Both encoders see the middle of a frame in the aspect of {width}x{height}; other sizes are resized"
    frames = "" if card.frames is None else f"; it was trained on {counted(card.frames, 'frame')} of a view at most"
    stamps = {"qwen": " A time stamp stands before each frame.", "authors": " The system prompt is GAP-MLLM's."}
    return (
        "## Input\n\n"
        f"Frames in the order in which they were filmed{frames}. {seen}. Points and boxes in answers are in metres in "
        f"the first frame's camera: x right, y down, z forward.{stamps.get(card.sight.prompting, '')} The prompt is "
        "written as in training, whatever the chat template of the tokenizer says."
    )


def _questions(questions: Mapping[str, str]) -> str:
    texts = [f"{task.replace('_', ' ').capitalize()}:\n\n```text\n{text}\n```" for task, text in questions.items()]
    said = "It answers best in the words of its training. What differs from question to question is in angle brackets."
    return "\n\n".join(["## Questions that it was taught", said, *texts])


def _made_from(card: Card) -> str:
    lineage, encoder = card.lineage, card.encoder
    base = ", ".join(f"[{name}](https://huggingface.co/{name})" for name in lineage.base_models)
    link = f"[{encoder.source}](https://huggingface.co/{encoder.source})" if encoder.source else "trained here"
    lines = [
        "## Made from",
        f"- Language model and vision tower: {base or 'not stated'}.",
        f"- Geometry encoder `{encoder.name}`: {link}, licence {encoder.licence}; its weights are "
        f"{'included' if encoder.included else 'referred to, not included'}.",
    ]
    for scans in lineage.scans:
        lines.append(f"- {counted(scans.scenes, 'scene')} of {scans.title}. Terms: {scans.terms}.")
    if not lineage.scans:
        lines.append("- Training scenes: not stated.")
    if lineage.recipe:
        lines.append("- Training: `recipe.json` has all settings of its last stage.")
    return "\n".join([lines[0], "", *lines[1:]])


def _scores(found: Sequence[CardScores]) -> str:
    rows: list[tuple[str, ...]] = []
    for scores in found:
        for figure in scores.figures:
            texts = (figure.figure.text(), figure.range_text(), figure.constant_text())
            rows.append((scores.split, figure.task, figure.figure.name, *texts))
    header = ("split", "task", "figure", "value", "95 % interval", "constant answer")
    table = without_empty_columns(Table(header=header, rows=tuple(rows)))
    asked = "\n".join(f"- Split {scores.split}, {line}." for scores in found for line in scores.asked)
    return (
        "## Scores\n\nOn held-out scenes, by `gapmodel evaluate`. For the intervals, scenes are drawn with "
        f"replacement.\n\n{in_markdown(table)}\n\nAsked:\n\n{asked}"
    )


def _audit(found: Sequence[CardScores]) -> str:
    lines = [f"- {sentence}" for scores in found for sentence in scores.audit]
    rule = next(scores.rule for scores in found if scores.rule)
    return "\n".join(["## What geometry contributes", "", *lines, "", rule])


def _terms(card: Card) -> str:
    licence, why = licence_of(card)
    encoder = card.encoder
    lines = [
        "## Licence",
        "",
        f"The directory as a whole: `{licence}`, because {why}. Its parts:",
        "",
        f"- code (`*.py`): {LANGUAGE_MODEL}",
        *([f"- Qwen3-VL's weights, which it was made from: {LANGUAGE_MODEL}"] if card.lineage.base_models else []),
        f"- geometry encoder ({encoder.source or encoder.name}; {'included' if encoder.included else 'not included'}): "
        f"{encoder.licence}",
        *(f"- {scans.title}, which it was trained on: {scans.terms}" for scans in card.lineage.scans),
    ]
    if not encoder.included and not permissive(encoder.licence):
        lines += ["", f"The model cannot run without {encoder.source}, so its use is bound by {encoder.licence}, too."]
    return "\n".join(lines)
