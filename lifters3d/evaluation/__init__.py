"""Error measures of 3D poses."""
