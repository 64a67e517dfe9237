"""``python -m pose3d``."""

from pose3d.cli import main

main()
