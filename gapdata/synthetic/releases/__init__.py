"""The annotation files that others publish for real scans, written for synthetic ones.

EmbodiedScan's pickles, ScanRefer's JSON, Mask3D's proposals in both of their forms, and the conversations of VG-LLM and
GAP-MLLM. All of it follows from the true geometry, and nothing here shares code with the readers of such files: what
one side misunderstands, the other shows.

things -> relations -> referrals -> wording   what objects are, how they lie to one another, which words single one out
sightings, facts                              what a scan sees; one small result per scene, made beside the rendering
embodiedscan, proposals, scanrefer, conversations, grounding, writing   the files, assembled from those results
"""
