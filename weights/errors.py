"""The one error class of the program, in the lowest room so that every room can raise it."""


class Pose3dError(Exception):
    """Something the user can mend: the message is one line (what was wrong, where, what to do).

    The command prints the message and exits with code 2; library callers catch this class.
    """
