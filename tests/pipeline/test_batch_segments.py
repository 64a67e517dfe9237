"""Batches that cut texts into words: what is begun, kept, redone, joined, and told."""

import json
import random
import time
from collections import Counter

import pytest

from pipeline.batch.manifest import Manifest
from pipeline.batch.run import run_batch
from pipeline.batch.tasks import Summary
from pipeline.batch.workers import LocalCrew
from pipeline.settings import Settings
from tests.pipeline.batch_fakes import Ears, FakeWork, recipe, texts_of, words_of
from tests.pipeline.test_batch_kill import alive, batch, lines_of, tree, until, workers_of


def words(name, stage, numbers):
    return [f"{stage}:{number} {name}.txt" for number in numbers]


def whole(name, count=3):
    """What is done of a text of so many words, all of it."""
    return [
        *words(name, "detect", range(count)),
        f"lift {name}.txt",
        *words(name, "render", range(count)),
    ]


def kept(shop):
    return list((shop.output / ".pose3d" / "segments").rglob("*.*"))


def test_the_outputs_are_those_of_whole_videos(shop):
    shop.write(a="one two three", b="short", sub__c="four five")
    summary, stages = shop.run(cut=words_of, workers=3)
    short = [f"{stage} b.txt" for stage in ("detect", "lift", "render")]
    assert Counter(stages) == Counter(whole("a") + short + whole("c", 2))
    assert [o.state for o in summary.outcomes] == ["done"] * 3
    assert {o.task.name: (o.first, o.frames) for o in summary.outcomes} == {
        name: ("detect", 6) for name in ("a", "b", "sub/c")
    }
    shop.check("a", "one two three")
    shop.check("sub/c", "four five")
    assert kept(shop) == []
    # How it was cut is no matter once it is done.
    assert shop.run()[1] == shop.run(cut=words_of)[1] == []
    _, stages = shop.run(cut=words_of, layout="grid", limit=1)
    assert sorted(stages) == words("a", "render", range(3))
    shop.check("a", "one two three", layout="grid")
    _, stages = shop.run(cut=words_of, layout="grid", smooth="none")
    again = ["lift a.txt", *words("a", "render", range(3))]
    assert [stage for stage in stages if "a.txt" in stage][:1] == again[:1]
    assert sorted(stage for stage in stages if "a.txt" in stage) == sorted(again)
    shop.check("a", "one two three", layout="grid", smooth="none")
    assert shop.run(cut=words_of, layout="grid", smooth="none", render=False)[1] == []


def test_without_rendering_only_the_first_pass_is_cut(shop):
    shop.write(a="one two three")
    assert shop.run(cut=words_of, render=False)[1][-1] == "lift a.txt"
    assert shop.run(cut=words_of)[1][0].startswith("render:")
    shop.check("a", "one two three")


def test_one_video_is_on_all_workers(shop, monkeypatch):
    monkeypatch.setenv("POSE3D_TEST_PAUSE", "0.5")
    shop.write(a="one two three four")
    ears, chosen = Ears(), Settings(render=False)
    crew = LocalCrew([chosen] * 4, work=FakeWork)
    texts, manifest = texts_of(shop.folder), Manifest(shop.output)
    run_batch(texts, manifest, crew, recipe(chosen), ears, Summary(), render=False, cut=words_of)
    began = {stage: slot for slot, _, stage, _ in ears.stages if stage.startswith("detect")}
    assert began.keys() == {f"detect:{number} {number + 1}/4" for number in range(4)}
    assert len(set(began.values())) >= 3


def test_a_failed_segment_fails_its_video_once(shop):
    shop.write(a="one bad three four five", b="six seven", c="killed nine ten")
    summary, stages = shop.run(cut=words_of, workers=1)
    assert {o.task.name: o.state for o in summary.outcomes} == {
        "a": "failed",
        "b": "done",
        "c": "failed",
    }
    reasons = {outcome.task.name: outcome.reason for outcome in summary.outcomes}
    assert len(summary.outcomes) == 3
    assert reasons["a"] == "is damaged there"
    assert "SIGKILL" in reasons["c"]
    assert [stage for stage in stages if "b.txt" not in stage] == [
        "detect:0 a.txt",
        "detect:1 a.txt",
        "detect:0 c.txt",
    ]
    # What was done of it is not done again.
    assert len(kept(shop)) == 1
    summary, stages = shop.run(cut=words_of, workers=1)
    assert stages == ["detect:1 a.txt", "detect:0 c.txt"]
    # Of another content it is.
    shop.write(a="one two three four five")
    _, stages = shop.run(cut=words_of, workers=1)
    assert [stage for stage in stages if "a.txt" in stage] == whole("a", 5)
    shop.check("a", "one two three four five")
    assert kept(shop) == []


@pytest.mark.parametrize("stage", ["detect", "render"])
def test_a_video_that_turns_out_not_to_be_fit_is_done_whole(shop, stage):
    text = f"one two uneven-{stage} four"
    shop.write(a=text)
    summary, stages = shop.run(cut=words_of, workers=1)
    assert summary.outcomes[0].state == "done"
    expected = whole("a", 4)
    later = [f"{each} a.txt" for each in ("detect", "lift", "render")]
    cut_off = expected.index(f"{stage}:2 a.txt") + 1
    assert stages == expected[:cut_off] + later[later.index(f"{stage} a.txt") :]
    shop.check("a", text)


def test_a_forced_stage_takes_no_old_segments(shop):
    shop.write(a="one two bad")
    shop.run(cut=words_of, workers=1)
    assert len(kept(shop)) == 2
    _, stages = shop.run(cut=words_of, workers=1, from_stage="detect")
    assert stages == words("a", "detect", range(3))


def test_copies_wait_for_all_segments(shop):
    shop.write(a="one two three", b="one two three")
    _, stages = shop.run(cut=words_of, workers=4)
    counts = Counter(stage.split(":")[0].split()[0] for stage in stages)
    assert counts == {"detect": 3, "lift": 2, "render": 6}
    shop.check("b", "one two three")


def test_the_limit_counts_videos(shop):
    shop.write(a="one two three", b="four five", c="six seven")
    summary, stages = shop.run(cut=words_of, limit=2, workers=2)
    assert (len(summary.of("done")), summary.left) == (2, 1)
    assert sorted(stages) == sorted(whole("a") + whole("b", 2))


def test_killed_at_any_moment_in_segments(tmp_path):
    """Only segments in flight are done twice, and nothing but whole files is ever seen."""
    folder, output, log = tmp_path / "in", tmp_path / "out", tmp_path / "log"
    folder.mkdir()
    for number in range(3):
        (folder / f"v{number}.txt").write_text(" ".join(f"w{number}{n}" for n in range(5)))
    (folder / "whole.txt").write_text("word")
    assert batch(folder, tmp_path / "whole", tmp_path / "log0").wait(60) == 0
    expected = tree(tmp_path / "whole")
    chance, kills = random.Random(1), 0
    while True:
        before = len(lines_of(log))
        process = batch(folder, output, log, "pause=0.03", "cut=1")
        more = before + chance.randint(3, 8)
        until(lambda more=more: len(lines_of(log)) >= more, process)
        time.sleep(chance.random() * 0.05)
        process.kill()
        _, err = process.communicate(timeout=60)
        assert err == ""
        until(lambda: not any(map(alive, workers_of(log))))
        if process.returncode == 0:
            break
        kills += 1
        for name, content in tree(output).items():
            assert content == expected[name]
    assert kills >= 4
    assert tree(output) == expected
    stages = Counter(line for line in lines_of(log) if not line.startswith("start"))
    assert set(stages) >= set(whole("v0", 5) + whole("v2", 5))
    # Two workers, each with one segment.
    assert sum(stages.values()) <= 3 * 11 + 3 + 2 * kills
    assert not list((output / ".pose3d" / "segments").iterdir())
    assert not list((output / ".pose3d" / "work").iterdir())


def test_another_length_of_segments_redoes_nothing_that_is_done(tmp_path):
    folder, output, log = tmp_path / "in", tmp_path / "out", tmp_path / "log"
    folder.mkdir()
    (folder / "a.txt").write_text("one two three four")
    process = batch(folder, output, log, "pause=0.3", "cut=1", "workers=1")
    until(lambda: sum("detect" in line for line in lines_of(log)) >= 3)
    process.kill()
    process.communicate()
    out, _ = batch(folder, output, log).communicate(timeout=60)
    assert json.loads(out)["done"] == 1
    assert [line for line in lines_of(log) if "start" not in line][-3:] == [
        f"{stage} a.txt" for stage in ("detect", "lift", "render")
    ]
    assert not list((output / ".pose3d" / "segments").iterdir())
    out, _ = batch(folder, output, log, "cut=1").communicate(timeout=60)
    assert json.loads(out)["skipped"] == 1
