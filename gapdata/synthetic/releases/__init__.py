"""The annotation files that others publish for real scans, written for synthetic ones.

EmbodiedScan's pickles, ScanRefer's JSON, Mask3D's proposals in both of their forms, and the conversations of VG-LLM and
GAP-MLLM. All of it follows from the true geometry, and nothing here shares code with the readers of such files, so
that tests find what one side misunderstands.

things -> relations -> referrals -> wording         objects, relations between them, references to one, sentences
sightings, facts                                    visible objects of each frame; one small result per scene
embodiedscan, proposals, conversations, grounding   the items of the files, from those results
writing                                             the files, assembled from the items
"""
