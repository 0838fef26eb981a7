"""Qwen3-VL with a geometry encoder inside, fused level by level (GAP-MLLM, arXiv 2603.16461).

Geometry enters the language model in :meth:`gapmodel.modeling.GapModel.get_image_features`: start there.

    the model      geometry/ (the encoders)  fusion  modeling  presets
    its input      field_of_view  tokenizer  packing  processing
    its files      checkpoints (other people's)  frozen  model_directory
    its use        generate  inspection  cli

Around it, each room importing only from those above it: training (train, the loop; data, the questions; training/, the
rest), evaluation/ (the tasks' scores), miniature/ (the whole experiment at a small size).
"""
