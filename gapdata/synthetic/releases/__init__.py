"""The annotation files that others publish for real scans, written for synthetic ones.

EmbodiedScan's pickles, ScanRefer's JSON, Mask3D's proposals in both of their forms, and the conversations of VG-LLM and
GAP-MLLM. All of it follows from the true geometry, and nothing here shares code with the readers of such files: what
one side misunderstands, the other shows.

things -> relations -> referrals -> wording   objects, how they lie to one another, references to one, sentences
sightings, facts                              visible objects of each frame; one small result per scene
embodiedscan, proposals, conversations, grounding, writing              the files, assembled from those results
"""
