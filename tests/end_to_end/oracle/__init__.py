"""An answer key for spatial questions that shares no module with their generator, and the exams that it marks.

key/            reads a question's text, and answers it from the synthetic room itself
exam            the generator's questions about a build, put to the key
rooms           the builds that are asked
test_*, campaign   2,000 questions in CI, and as many as wanted with ``make oracle``
"""
