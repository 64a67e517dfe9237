"""Batches of texts, whose work is quick: what is done, skipped, redone, and what survives what."""

import os
import subprocess
import sys
from collections import Counter
from itertools import chain
from pathlib import Path

import pytest

from pipeline.batch.find import Video
from pipeline.batch.locks import working_folder
from pipeline.batch.manifest import Manifest
from pipeline.batch.run import run_batch
from pipeline.batch.tasks import Summary, tasks_of
from pipeline.batch.workers import LocalCrew
from pipeline.settings import Settings
from tests.pipeline.batch_fakes import Ears, FakeWork, recipe, texts_of
from weights.errors import Pose3dError

ROOT = Path(__file__).parents[2]
ALL = ["detect", "lift", "render"]


def stages_of(name, stages=ALL):
    return [f"{stage} {name}.txt" for stage in stages]


def test_what_changed_is_redone_from_the_first_stage_affected(shop):
    shop.write(a="one", sub__b="two")
    summary, stages = shop.run()
    assert sorted(stages) == sorted(stages_of("a") + stages_of("b"))
    assert [o.state for o in summary.outcomes] == ["done", "done"]
    assert sum(o.frames for o in summary.outcomes) == 12
    shop.check("a", "one")
    shop.check("sub/b", "two")
    assert not list((shop.output / ".pose3d" / "work").iterdir())

    def redone(**settings):
        return sorted(shop.run(**settings)[1])

    assert redone() == []
    assert redone(layout="overlay") == ["render a.txt", "render b.txt"]
    shop.check("a", "one", layout="overlay")
    both = [stage for name in "ab" for stage in stages_of(name, ALL[1:])]
    assert redone(layout="overlay", smooth="none") == sorted(both)
    shop.check("sub/b", "two", layout="overlay", smooth="none")
    assert redone(layout="overlay", smooth="none", device="cpu") == []
    # An earlier part of the video is another first pass.
    both = [stage for name in "ab" for stage in stages_of(name)]
    assert redone(start=1.0) == sorted(both)
    assert redone(start=1.0, render=False) == []
    # Content counts, not its time or its place.
    os.utime(shop.folder / "a.txt", (1, 1))
    assert redone(start=1.0) == []
    os.rename(shop.folder / "a.txt", shop.folder / "new.txt")
    assert redone(start=1.0) == stages_of("new", ALL[1:])
    shop.write(new="three")
    assert redone(start=1.0) == stages_of("new")
    shop.check("new", "three", start=1.0)


def test_outputs_that_are_gone_or_damaged_are_made_again(shop):
    shop.write(a="one")
    shop.run()
    (shop.output / "a_pose3d.mp4").unlink()
    assert shop.run()[1] == ["render a.txt"]
    (shop.output / "a_pose3d.npz").write_bytes(b"half")
    assert shop.run()[1] == ["lift a.txt", "render a.txt"]
    shop.check("a", "one")
    (shop.output / "a_pose3d.npz").unlink()
    (detections,) = (shop.output / ".pose3d" / "detections").iterdir()
    detections.write_bytes(b"half")
    assert shop.run()[1] == stages_of("a")
    (shop.output / ".pose3d" / "videos" / "a.json").write_text("{")
    assert shop.run()[1] == ["lift a.txt", "render a.txt"]
    shop.check("a", "one")


@pytest.mark.parametrize("stage", ALL)
def test_a_stage_can_be_forced(shop, stage):
    shop.write(a="one")
    shop.run()
    assert shop.run(from_stage=stage)[1] == stages_of("a", ALL[ALL.index(stage) :])
    assert shop.run()[1] == []


def test_copies_share_the_first_pass(shop):
    shop.write(a="same", b="same", c="same", d="other")
    _, stages = shop.run(workers=3)
    counts = Counter(stage.split()[0] for stage in stages)
    assert counts == {"detect": 2, "lift": 4, "render": 4}
    shop.check("c", "same")


def test_a_failed_video_stops_no_other_and_is_tried_again(shop):
    shop.write(a="one", b="bad", c="fault", d="killed", e="two", f="odd")
    summary, stages = shop.run(workers=1)
    assert [o.task.name for o in summary.of("done")] == ["a", "e", "f"]
    reasons = {o.task.name: o.reason for o in summary.of("failed")}
    assert reasons["b"] == "is not a video"
    assert reasons["c"].startswith("a fault in pose3d: KeyError: 'joint' (batch_fakes.py, line ")
    assert "SIGKILL" in reasons["d"]
    assert "memory" in reasons["d"]
    assert summary.outcomes[-1].warnings == ("it is a text",)
    # A process that broke or died is replaced, one that refused a video is not.
    assert shop.log.read_text().count("start") == 3
    shop.write(b="good again")
    summary, stages = shop.run(workers=1)
    assert sorted(stages) == sorted([*stages_of("b"), "detect c.txt", "detect d.txt"])
    assert len(summary.of("skipped")) == 3
    shop.check("b", "good again")


def test_settings_with_which_nothing_can_be_done_end_the_batch(shop, monkeypatch):
    shop.write(a="one", b="two")
    with pytest.raises(Pose3dError, match="the lifter is not usable"):
        shop.run(lifter="unusable")
    monkeypatch.setenv("POSE3D_TEST_DEAD", "1")
    with pytest.raises(Pose3dError, match=r"code 3: no memory for the network; fewer --workers"):
        shop.run()
    assert shop.log.read_text().count("start") in (3, 4)


def test_a_limit_counts_what_is_worked_on(shop):
    shop.write(a="one", b="two", c="three", d="bad")
    summary, _ = shop.run(limit=1)
    assert (len(summary.of("done")), summary.left) == (1, 3)
    summary, _ = shop.run(limit=2)
    assert (len(summary.of("done")), len(summary.of("skipped")), summary.left) == (2, 1, 1)


def test_shards_are_every_video_once(shop):
    names = [f"{letter}{number}" for letter in "abc" for number in range(5)]
    shop.write(**{name: name for name in names})
    videos, manifest = texts_of(shop.folder), Manifest(shop.output)
    parts = [[t.name for t in tasks_of(videos, manifest, (i, 3))] for i in (1, 2, 3)]
    assert sorted(chain(*parts)) == names
    assert all(parts)
    # Whatever comes to the folder, and whatever is in a video.
    shop.write(a0="other content", z="new")
    again = [t.name for t in tasks_of(texts_of(shop.folder), manifest, (1, 3)) if t.name != "z"]
    assert again == parts[0]
    _, stages = shop.run(shard=(2, 3), workers=1)
    assert {stage.split()[1] for stage in stages} - {"z.txt"} == {f"{n}.txt" for n in parts[1]}


def test_two_batches_do_not_work_on_one_folder(shop):
    shop.write(a="one")
    home = Manifest(shop.output).home
    with working_folder(home, (1, 2)), working_folder(home, (2, 2)):
        for shard, words in [((1, 2), "1/2"), ((1, 1), "./2"), ((1, 3), "./2")]:
            with pytest.raises(Pose3dError, match=f"another pose3d batch .*{words}.* is at work"):
                shop.run(shard=shard)
    with working_folder(home), pytest.raises(Pose3dError, match="another pose3d batch is at work"):
        shop.run()
    assert shop.stages() == []
    shop.run()
    shop.check("a", "one")


def test_shards_at_the_same_time(shop):
    names = [f"v{number}" for number in range(8)]
    shop.write(**{name: name for name in names})
    command = [sys.executable, "-m", "tests.pipeline.batch_fakes"]
    command += [shop.folder, shop.output, shop.log, "workers=1", "pause=0.1"]
    running = [subprocess.Popen([*command, f"shard={i}/2"], cwd=ROOT) for i in (1, 2)]
    assert [process.wait(60) for process in running] == [0, 0]
    assert sorted(shop.stages()) == sorted(chain(*map(stages_of, names)))
    for name in names:
        shop.check(name, name)
    assert shop.run()[1] == []


def test_progress_is_told(shop):
    shop.write(a="one")
    ears, chosen = Ears(), Settings()
    videos = [*texts_of(shop.folder), Video(shop.folder / "x.mp4", "x.mp4", "is empty (0 bytes)")]
    summary = Summary()
    run_batch(
        videos,
        Manifest(shop.output),
        LocalCrew([chosen], work=FakeWork),
        recipe(chosen),
        ears,
        summary,
    )
    assert ears.total == 2
    assert {(name, stage) for _, name, stage, _ in ears.stages} >= {("a", s) for s in ALL}
    assert max(done for *_, stage, done in ears.stages if stage == "lift") == 6
    assert {o.task.name: o.reason for o in summary.of("failed")} == {"x": "is empty (0 bytes)"}
    assert summary.took_s > 0


def test_an_output_folder_that_cannot_be_one(shop):
    shop.write(a="one")
    shop.output.write_text("a file")
    with pytest.raises(Pose3dError, match="cannot be made"):
        shop.run()


def test_a_target_that_is_a_folder_fails_before_the_work(shop):
    shop.write(a="one", b="two")
    (shop.output / "a_pose3d.mp4").mkdir(parents=True)
    summary, stages = shop.run()
    assert stages == stages_of("b")
    assert "is a folder" in summary.of("failed")[0].reason


def test_large_videos_come_first(shop):
    shop.write(a="a", b="b" * 300, c="c" * 20)
    _, stages = shop.run(workers=1)
    assert [line.split()[1] for line in stages if line.startswith("detect")] == [
        "b.txt",
        "c.txt",
        "a.txt",
    ]
    shop.write(d="d", e="e" * 300)
    # Of a few, the first ones by name.
    _, stages = shop.run(workers=1, limit=1)
    assert {line.split()[1] for line in stages} == {"d.txt"}


def test_a_name_that_leaves_no_room(shop):
    name = "n" * 240
    shop.write(**{name: "a", "b": "b"})
    summary, stages = shop.run()
    assert stages_of("b") == stages
    (failed,) = summary.of("failed")
    assert "name is too long" in failed.reason
