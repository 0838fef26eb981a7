"""Tasks: a record becomes a question and its answer as chat text, and the text of a model becomes a parsed answer."""
