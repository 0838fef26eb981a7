"""Questions about space with one right answer each: counts, distances, sizes, directions, depth, motion and ways.

Every question is computed from a record, tested for its margin, and rounded once. A question that could flip within
its margin, whose names could mean two things, or whose object is hardly seen, is not asked.
"""
