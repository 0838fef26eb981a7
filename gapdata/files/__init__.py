"""Reading what people and programs leave in files and folders: text, numbers, tags, names in order, a store's word."""
