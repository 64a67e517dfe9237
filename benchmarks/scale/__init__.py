"""What hours of video cost, up to millions of them: measured, in closed form, and simulated.

    python -m benchmarks.scale measure [CLIP ...]       # this machine, into benchmarks/scale.json
    python -m benchmarks.scale plan --hours 10000       # the closed form
    python -m benchmarks.scale simulate --hours 10000 --workers 640
    python -m benchmarks.scale check FOLDER             # a real pose3d batch against the simulation
    python -m benchmarks.scale table docs/scale.md      # the tables of that page, from the figures

``measure`` what a frame costs, ``model`` what a collection of videos costs, ``simulation`` of a
fleet that works through it, ``check`` of both against a real batch, ``tables`` of all.
"""
