"""OpenMMLab's detectors and pose networks, for those who install ``pose3d[mm]``."""
