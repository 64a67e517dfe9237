"""``pose3d`` and ``python -m pose3d``."""

import sys


def main() -> None:
    """Entry point of the command; one line if it cannot start for want of a package."""
    try:
        from pose3d import cli
    except ImportError as error:
        reason = " ".join(str(error).split())
        sys.exit(f"error: pose3d cannot start: {reason}; install pose3d again")
    cli.main()


if __name__ == "__main__":
    main()
