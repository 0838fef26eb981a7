"""What lmms-eval reads of the entry point ``lmms_eval.models``: the model's name and the places of its classes."""

from __future__ import annotations

from typing import Any

NAME = "gap_mllm"
"""The model's name for ``--model``."""
CHAT = "gapmodel.harness.lmms_model.GapMllm"
SIMPLE = "gapmodel.harness.lmms_model.GapMllmSimple"


def manifest() -> Any:
    """Return the ``ModelManifest``; lmms-eval calls this when it starts, and imports a class when it is asked for."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest(model_id=NAME, chat_class_path=CHAT, simple_class_path=SIMPLE)
