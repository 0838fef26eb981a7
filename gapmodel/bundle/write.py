"""Write a bundle: the weights, the code that loads them, a processor of transformers, and a card.

    OUT/
      config.json  generation_config.json  model.safetensors     as the model directory, with auto_map
      processor_config.json  tokenizer.json ...                  what AutoProcessor reads
      gap_processor.json  recipe.json                            what gapmodel itself reads
      modeling.py  bundle_processor.py  ...                      the code, one flat file for each module
      README.md                                                  the card

It is written beside its place and renamed, so OUT is there whole or not at all.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors import SafetensorError

from gapdata.errors import UsageError
from gapdata.files.storage import Location
from gapdata.runtime.counting import counted
from gapmodel.bundle.card import Card, Encoder, licence_of, model_card
from gapmodel.bundle.flat_code import flat_files, flat_name
from gapmodel.bundle.lineage import read_lineage, recipe_bytes
from gapmodel.bundle.processor import GapHubProcessor
from gapmodel.bundle.scores import own_scores, read_scores
from gapmodel.bundle.taught_questions import taught_questions
from gapmodel.checkpoints import FILES, load_geometry
from gapmodel.encoder_by_reference import HUB_NAME, fingerprint
from gapmodel.geometry import build_geometry_encoder
from gapmodel.model_directory import RECIPE_FILE, load_model, model_directory
from gapmodel.modeling import GapConfig, GapForConditionalGeneration
from gapmodel.processing import GapProcessor
from gapmodel.questions.taught import trained_frames
from gapmodel.training.refused_writes import write_error

MODEL_CODE = GapForConditionalGeneration.__module__
PROCESSOR_CODE = GapHubProcessor.__module__
WHOLE = ("ForImageTextToText", "ForMultimodalLM", "ForCausalLM")


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleOptions:
    """What the user says about a bundle."""

    name: str = ""
    """Title of the card; the name of its directory if empty."""
    with_geometry: bool = False
    geometry_weights: Path | None = None
    """The file of the encoder's source, to compare with; found where training read it, or in the Hub's cache."""
    scores: tuple[Path, ...] = ()
    builds: tuple[Location, ...] = ()
    base_models: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    licence: str = ""


def write_bundle(directory: Path, out: Path, options: BundleOptions) -> dict[str, Any]:
    """Write a bundle of a model and return what it is, in plain types.

    Args:
        directory: a run's directory or a model directory.
        out: a directory that does not exist yet.
        options: what the user says.

    Raises:
        GapDataError: the model, its scores or builds do not fit each other, or the bundle cannot be written.
    """
    found = model_directory(directory)
    check_place(out, found)
    _check_names(options)
    named = tuple(read_scores(folder, found) for folder in options.scores)
    scores, unread = (named, []) if named else own_scores(directory, found)
    code = flat_files([MODEL_CODE, PROCESSOR_CODE])
    model, processor = load_model(found)
    lineage = read_lineage(directory, found, options.builds, options.base_models, model.config.taught or ())
    encoder = _encoder(model, options)
    card = Card(
        name=options.name or out.name,
        encoder=encoder,
        fusion=str(model.config.fusion),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        sight=processor.config,
        frames=trained_frames(found),
        lineage=lineage,
        questions=taught_questions(lineage.taught, lineage.recipe),
        datasets=options.datasets,
        licence=options.licence,
        scores=scores,
    )
    files = {name: text.encode() for name, text in code.items()}
    files["README.md"] = model_card(card).encode()
    files |= {RECIPE_FILE: recipe_bytes(lineage)} if lineage.recipe else {}
    _write(model, processor, encoder, files, out)
    licence, why = licence_of(card)
    return {
        "out": str(out),
        "licence": licence,
        "because": why,
        "geometry": asdict(encoder),
        "base_models": list(lineage.base_models),
        "scans": [asdict(scans) for scans in lineage.scans],
        "evaluations": len(scores),
        "unread_evaluations": unread,
        "files": len(files),
    }


def check_place(out: Path, model: Path) -> None:
    """Refuse a place that holds something, or that lies inside the model's own directory.

    Raises:
        UsageError: the bundle cannot be written there.
    """
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise UsageError("exists already", path=out, cure="change --out, or remove it")
    if out.resolve().is_relative_to(model.resolve()):
        raise UsageError("lies inside the model's directory", path=out, cure="change --out")


def _check_names(options: BundleOptions) -> None:
    for name in (*options.base_models, *options.datasets):
        if not HUB_NAME.fullmatch(name):
            raise UsageError(f"{name!r} is not a name on the Hugging Face Hub", cure="write owner/name")


def _encoder(model: GapForConditionalGeneration, options: BundleOptions) -> Encoder:
    """Decide whether the geometry encoder's weights go into the bundle.

    Raises:
        UsageError: they could be left out only if they were known to be those of their source.
    """
    config: GapConfig = model.config
    source, licence = str(config.geometry.get("source") or ""), str(config.geometry.get("licence") or "not stated")
    digest = fingerprint(model.model.geometry)
    included = options.with_geometry or not source
    if not included and _digest_of(_source_weights(source, config, options), config) != digest:
        raise UsageError(
            f"the geometry encoder's weights are not those of {source}: training changed them",
            cure=f"add --with-geometry to include them; their licence is that of {source}, {licence}",
        )
    return Encoder(
        name=str(config.geometry["name"]),
        source=source,
        licence=licence,
        included=included,
        fingerprint="" if included else digest,
    )


def _source_weights(source: str, config: GapConfig, options: BundleOptions) -> Path:
    """Return where the weights of an encoder's source are on this machine."""
    if options.geometry_weights is not None:
        return options.geometry_weights
    if config.geometry_weights and Path(config.geometry_weights).exists():
        return Path(config.geometry_weights)
    for name in FILES[:2]:
        try:
            return Path(hf_hub_download(source, name, local_files_only=True))
        except (LocalEntryNotFoundError, OSError, ValueError):
            continue
    raise UsageError(
        f"cannot tell whether the geometry encoder's weights are still those of {source}, which are not here",
        cure=f"run `hf download {source} {FILES[0]}`, name the file with --geometry-weights, or add --with-geometry",
    )


def _digest_of(weights: Path, config: GapConfig) -> str:
    encoder = build_geometry_encoder(config.geometry)
    load_geometry(encoder, weights)
    return fingerprint(encoder)


def _write(
    model: GapForConditionalGeneration, processor: GapProcessor, encoder: Encoder, files: Mapping[str, bytes], out: Path
) -> None:
    model.config.geometry_weights = None if encoder.included else encoder.source
    model.model.freeze(["geometry"])
    settle_generation(model, processor)
    temporary = out.with_name(f".{out.name}.{secrets.token_hex(6)}.tmp")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(str(temporary), save_frozen=encoder.included)
        hub = GapHubProcessor(processor.tokenizer, asdict(processor.config))
        hub.save_pretrained(str(temporary))
        _add_auto_map(temporary / "config.json", auto_classes())
        own = {"AutoProcessor": f"{flat_name(PROCESSOR_CODE)}.{GapHubProcessor.__name__}"}
        _add_auto_map(temporary / "processor_config.json", own)
        for name, data in files.items():
            (temporary / name).write_bytes(data)
        temporary.rename(out)
    except (OSError, SafetensorError) as error:
        raise write_error("bundle", error, out.parent, "remove the cause, and run the same command again") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def settle_generation(model: GapForConditionalGeneration, processor: GapProcessor) -> None:
    """Let ``generate`` answer as :func:`gapmodel.generate.generate_answers` does: greedily, to the end of the turn."""
    settings = model.generation_config
    settings.do_sample, settings.temperature, settings.top_p, settings.top_k = False, None, None, None
    settings.eos_token_id, settings.pad_token_id = processor.token_ids["end"], processor.token_ids["pad"]


def auto_classes() -> dict[str, str]:
    """Return the class of the bundle's code for each of transformers' Auto classes.

    ``AutoModel`` is not among them: it makes the model without its head, by a class that does not read weights which
    the directory refers to, and would leave the geometry encoder as it was initialised.
    """
    code = flat_name(MODEL_CODE)
    whole = {f"AutoModel{kind}": f"{code}.{GapForConditionalGeneration.__name__}" for kind in WHOLE}
    return {"AutoConfig": f"{code}.{GapConfig.__name__}", **whole}


def _add_auto_map(path: Path, classes: Mapping[str, str]) -> None:
    fields = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**fields, "auto_map": dict(classes)}, indent=2) + "\n", encoding="utf-8")


def summary(facts: Mapping[str, Any]) -> str:
    """Return what a bundle is, for a terminal."""
    geometry = facts["geometry"]
    where = "included" if geometry["included"] else f"referred to as {geometry['source']}, not included"
    lines = [
        f"{facts['out']}: loads with trust_remote_code=True where this package is not installed",
        f"geometry encoder {geometry['name']}: {where}; licence {geometry['licence']}",
        f"licence {facts['licence']}: {facts['because']}",
        f"{counted(facts['evaluations'], 'evaluation')} in the card",
        *(f"not in the card: {why}" for why in facts["unread_evaluations"]),
    ]
    lines += [] if facts["base_models"] else ["the base model is not known: name it with --base-model"]
    lines += [] if facts["scans"] else ["the scans are not known: name the builds of all stages with --shards"]
    return "\n".join(lines)
