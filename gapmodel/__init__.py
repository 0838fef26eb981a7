"""Qwen3-VL with a geometry encoder inside, fused level by level (GAP-MLLM, arXiv 2603.16461).

Geometry enters the language model in :meth:`gapmodel.modeling.GapModel.get_image_features`: start there.

    the model      geometry/ (the encoders)  fusion  modeling  presets  generate
    its input      field_of_view  processing  tokenizer  packing
    its files      checkpoints (other people's)  frozen  model_directory
    training       recipe  starting_point  data  mixture  augment  dense  loading  census  learner  optimisation
                   distributed  train  held_out  checkpointing  logbook  throughput  ray_train
    what came out  evaluation/  inspection  cli
"""
