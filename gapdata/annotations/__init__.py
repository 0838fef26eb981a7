"""Other people's annotation files, read into objects, labels and expressions."""
