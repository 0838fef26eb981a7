"""Training, around the loop in :mod:`gapmodel.training.loop` and the questions in :mod:`gapmodel.training.questions`.

what to do     recipe  starting_point (the first model)
questions      augment  dense (targets and their head)  mixture  loading  census (what there is to ask)
a step         learner  optimisation  distributed
a run          held_out  checkpointing  export  logbook  throughput  ray_train
"""
