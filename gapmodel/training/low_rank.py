"""Train the language model by low-rank matrices (LoRA): a weight W stays as it is, and W + (alpha / rank) B A is used.

Everything is peft's (the extra ``lora``): the layers, how they are merged, and the adapter's own files. B is 0 at the
start, so the first step sees the model as it was. What else the recipe trains, the fusion above all, is trained whole.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gapdata.errors import UsageError
from gapdata.runtime.choices import check_choice
from gapdata.seeding import generator_for
from gapmodel.modeling import PARTS, GapForConditionalGeneration
from gapmodel.training.recipe import LoraRecipe

ADAPTER_DIRECTORY = "adapter"
"""peft's files in a model directory, with ``keep = "adapter"``."""
NAME, BASE = ".default", ".base_layer"
"""Parts of the names that peft gives to an adapter's matrices and to the layers that it wraps."""
INSIDE = "language_model"


def add_adapter(model: GapForConditionalGeneration, lora: LoraRecipe, seed: int) -> None:
    """Add low-rank matrices to a model's language model, of which only they are trained; other parts stay as they are.

    Args:
        model: frozen as the recipe says.
        lora: its ``rank`` is above 0.
        seed: decides A, on any number of ranks and whatever was drawn before.

    Raises:
        UsageError: peft is not installed, or a target is not a linear layer of the language model.
    """
    _require_peft()
    from peft import inject_adapter_in_model

    text = model.model.language_model
    known = dict.fromkeys(name.rpartition(".")[2] for name, part in text.named_modules() if isinstance(part, nn.Linear))
    for name in lora.targets:
        check_choice("model.lora.targets: linear layer", name, known)
    held = {id(parameter) for part in (text, model.lm_head) for parameter in part.parameters()}
    trained = [each for each in model.parameters() if each.requires_grad and id(each) not in held]
    with torch.random.fork_rng(devices=()), _without_warnings():
        torch.manual_seed(int(generator_for(seed, "lora").integers(2**62)))
        inject_adapter_in_model(_peft_config(lora), model)
    for parameter in trained:  # peft has frozen all but its own
        parameter.requires_grad_(True)
    model.model.train(model.training)


def trained_whole(model: GapForConditionalGeneration) -> list[str]:
    """Return the names of the modules beside the language model that are trained, as peft's ``modules_to_save``."""
    parts = [part for part in PARTS if part not in (INSIDE, "fusion")]
    named = {f"model.{part}": model.model.get_submodule(part) for part in parts}
    # peft does not take a list of modules as one.
    named |= {f"model.fusion.{index}": level for index, level in enumerate(model.model.fusion)}
    return [name for name, part in named.items() if any(each.requires_grad for each in part.parameters())]


def with_peft(
    base: GapForConditionalGeneration, adapter: Mapping[str, Tensor], lora: LoraRecipe, saved: list[str]
) -> Any:
    """Return peft's model of a plain model and the matrices of its adapter, from which it saves and merges.

    Args:
        base: the model with its other trained modules as they are now, float32.
        adapter: the matrices, by the names that they have in a model with :func:`add_adapter`.
        lora: the recipe's section.
        saved: modules that the adapter's file holds whole (:func:`trained_whole`).
    """
    from peft import get_peft_model, set_peft_model_state_dict

    whole = {name: value for name, value in base.state_dict().items() if name.startswith(tuple(f"{e}." for e in saved))}
    with _without_warnings():
        found = get_peft_model(base, _peft_config(lora, saved), low_cpu_mem_usage=True)
    named = {f"base_model.model.{name.replace(NAME, '')}": value for name, value in {**adapter, **whole}.items()}
    unread = set_peft_model_state_dict(found, named, low_cpu_mem_usage=True).unexpected_keys
    if unread:
        raise RuntimeError(f"peft does not know {unread[0]}, a matrix of its own")
    return found


def save_adapter(model: Any, directory: Path) -> None:
    """Write peft's own directory of :func:`with_peft`'s model: ``adapter_config.json`` and safetensors."""
    model.save_pretrained(str(directory), save_embedding_layers=False)


def plain_names(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return a model's weights by the names that they have without adapter, and those of the adapter."""
    adapter = {name: value for name, value in weights.items() if ".lora_" in name}
    return {name.replace(BASE, ""): value for name, value in weights.items() if name not in adapter}, adapter


def _peft_config(lora: LoraRecipe, saved: list[str] | None = None) -> Any:
    from peft import LoraConfig

    names = "|".join(lora.targets)
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        # Layers of the vision tower may have the same names.
        target_modules=rf"model\.{INSIDE}\.(?:.*\.)?(?:{names})",
        modules_to_save=saved or None,
    )


@contextmanager
def _without_warnings() -> Iterator[None]:
    # peft asks models whether they recompute activations by a name that transformers has given up.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, message=".*gradient_checkpointing.*")
        yield


def _require_peft() -> None:
    if find_spec("peft") is None:
        raise UsageError(
            "model.lora needs the package peft, which is not installed", cure="run `pip install 'gapmllm[lora]'`"
        )
