"""Trained weights shipped with pose3d, and the safe reading of weight files."""
