"""Read ScanNet++: the iPhone's video with its LiDAR depth, the DSLR's stills, and the labelled mesh of a scene."""
