"""Reading what lies in folders: text of any editor, order of names, and what is no data at all."""
