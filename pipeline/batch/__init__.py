"""Many videos: found, planned, shared out among processes, and taken up again where they ended.

``find`` which videos, ``manifest`` what is known of them, ``plan`` what is left to do, ``work``
doing it in a process of its own, ``run`` all of it.
"""
