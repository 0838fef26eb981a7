"""Tasks: a record as a question and its answer in chat text, and the text of a model as a parsed answer."""
