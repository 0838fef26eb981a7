"""Write records into WebDataset tars with an index, and read them."""
