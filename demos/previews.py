"""The README's pictures and the rendered previews, made from the bundled clip.

    python -m demos.previews

Writes ``docs/demo.gif``, ``docs/demo.jpg`` and ``demos/walk_LAYOUT.mp4``, each under 1 MB.
"""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path

import av
from PIL import Image

from pipeline.process import estimate
from pipeline.progress import Silence
from pipeline.rendering.video import render_video
from pipeline.settings import LAYOUTS

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
CLIP = HERE / "walk.mp4"
MOST_BYTES = 1_000_000
WIDTH, GIF_WIDTH = 960, 640
# Of the clip, s: the man turns towards the camera and walks on.
SECONDS = (1.5, 5.5)
STILL_S = 3.3


def small_frames(video: Path, width: int) -> list[av.VideoFrame]:
    """The frames of the chosen seconds, made smaller."""
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        height = round(width * stream.height / stream.width / 2) * 2
        return [
            frame.reformat(width, height, interpolation="AREA")
            for frame in container.decode(stream)
            if SECONDS[0] <= frame.time < SECONDS[1]
        ]


def write_mp4(frames: list[av.VideoFrame], target: Path) -> None:
    """H.264 of 30 frames/s that plays in browsers."""
    with av.open(str(target), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "27"})
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, "yuv420p"
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base, frame.pict_type = number, Fraction(1, 30), 0
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_gif(frames: list[av.VideoFrame], target: Path) -> None:
    """Ten frames/s of one palette, for pages that show no video."""
    pictures = [frame.to_image() for frame in frames[::3]]
    # The median cut alone has no colours for the few bright pixels of the skeletons.
    middle = pictures[len(pictures) // 2]
    colors = middle.quantize(160, Image.Quantize.MEDIANCUT).getpalette()[: 3 * 160]
    colors += middle.quantize(96, Image.Quantize.MAXCOVERAGE).getpalette()[: 3 * 96]
    palette = Image.new("P", (1, 1))
    palette.putpalette(colors)
    first, *others = (picture.quantize(palette=palette, dither=0) for picture in pictures)
    first.save(target, save_all=True, append_images=others, duration=100, loop=0, optimize=True)


def main() -> None:
    result = estimate(CLIP)
    made = [DOCS / "demo.gif", DOCS / "demo.jpg"]
    with tempfile.TemporaryDirectory() as folder:
        for layout in LAYOUTS:
            video = Path(folder) / f"{layout}.mp4"
            render_video(result, CLIP, video, Silence(), layout)
            made.append(HERE / f"walk_{layout}.mp4")
            write_mp4(small_frames(video, WIDTH), made[-1])
            if layout == "side-by-side":
                write_gif(small_frames(video, GIF_WIDTH), made[0])
                still = small_frames(video, 2 * WIDTH)[round((STILL_S - SECONDS[0]) * 30)]
                still.to_image().resize((WIDTH, WIDTH * still.height // still.width)).save(
                    made[1], quality=88
                )
    for path in made:
        size = path.stat().st_size
        print(f"{path.relative_to(HERE.parent)}: {size / 1000:.0f} kB")
        if size >= MOST_BYTES:
            raise SystemExit(f"error: {path} is larger than {MOST_BYTES / 1e6:g} MB")


if __name__ == "__main__":
    main()
