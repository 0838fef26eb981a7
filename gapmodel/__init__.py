"""Qwen3-VL with a geometry encoder inside, fused level by level (GAP-MLLM, arXiv 2603.16461).

Geometry enters the language model in :meth:`gapmodel.modeling.GapModel.get_image_features`: start there.

    the model      geometry/ (the encoders)  fusion  modeling  presets
    its input      field_of_view  tokenizer  packing  processing
    its files      checkpoints (other people's)  gap_mllm  encoder_by_reference  model_directory
    its use        generate  inspection/ (a look inside, as a picture)

Above it, each room importing only from those before it: questions/ (which records are asked what), training/ (loop.py
and what it needs) and evaluation/ (the tasks' scores) beside each other, experiments/miniature/ (the whole experiment
at a small size), bundle/ (a model with its code, for transformers alone), commands/ (of the program ``gapmodel``).
"""
