"""What a user has to know about published data sets that ``--rgbd`` reads as plain folders, by the name of the layout.

A layout is not a data set: other tools write it, too. So nothing here says that images may be passed on.
"""

from __future__ import annotations

from gapdata.sources.source_facts import SourceFacts

LAYOUTS: dict[str, SourceFacts] = {
    "tum-lists": SourceFacts(
        title="TUM RGB-D and Bonn",
        recognised_by="rgb.txt, depth.txt and groundtruth.txt",
        download="wget https://cvg.cit.tum.de/rgbd/dataset/freiburg1/rgbd_dataset_freiburg1_xyz.tgz (and siblings), "
        "unpacked into a folder each",
        terms="CC BY 4.0 for TUM's own sequences, https://cvg.cit.tum.de/data/datasets/rgbd-dataset; else those of "
        "whoever recorded them",
    ),
    "results-trajectory": SourceFacts(
        title="Replica, as NICE-SLAM packs it",
        recognised_by="results/ with frame000000.jpg and depth000000.png, and traj.txt; cam_params.json beside it",
        download="wget https://cvg-data.inf.ethz.ch/nice-slam/data/Replica.zip",
        terms="Replica Research Terms, https://github.com/facebookresearch/Replica-Dataset/blob/main/LICENSE",
    ),
}
"""By :meth:`gapdata.sources.rgbd.RgbdFolder.kind`."""
