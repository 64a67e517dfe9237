"""Many videos: found, planned, shared out among processes, and taken up again where they ended.

``find`` which videos, ``manifest`` what is known of them, ``plan`` what is left to do, ``course``
in which steps, ``work`` doing them in a process of its own, ``run`` all of it.
"""
