import hashlib
import re
from urllib.parse import urlsplit

import pytest

import weights.store as store
from weights.errors import Pose3dError

ENTRIES = store.entries()
PUBLIC = store.public()


def test_the_registry_is_not_empty():
    assert "mixste" in ENTRIES
    assert all(entry.name == name for name, entry in ENTRIES.items())


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_fits_its_file(name):
    """A file that was made anew needs its new size, sum and figures in registry.toml."""
    entry, content = ENTRIES[name], store.path_of(name).read_bytes()
    assert entry.bytes == len(content)
    assert entry.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_agrees_with_its_card(name):
    entry = ENTRIES[name]
    card = store.path_of(name).with_suffix(".md").read_text(encoding="utf-8")
    assert entry.licence in card
    assert entry.training_data
    assert entry.tested_on
    assert entry.kind in ("lifter", "pose2d", "people")
    if entry.kind == "lifter":
        assert {row.input for row in entry.accuracy} >= {"exact 2D", "noisy 2D"}
    else:
        assert entry.figures
        assert entry.figures in card
    for row in entry.accuracy:
        assert 0 < row.p_mpjpe_mm < row.mpjpe_mm
        for figure in (row.mpjpe_mm, row.p_mpjpe_mm):
            assert f" {figure:.1f} " in card


def test_no_file_without_an_entry():
    files = {path.name for path in store.FOLDER.glob("*.safetensors")}
    assert files == {entry.file for entry in ENTRIES.values()}


def test_a_name_without_weights():
    with pytest.raises(Pose3dError) as caught:
        store.path_of("nobody")
    assert str(caught.value) == "no weights for 'nobody' are shipped yet: give a weights file"


def test_a_file_that_is_gone(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "FOLDER", tmp_path)
    with pytest.raises(Pose3dError, match=r"mixste_t81.safetensors: the shipped .* not there"):
        store.path_of("mixste")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("[mixste]", "[mixste"), "not a registry of weights"),
        (('licence = "Apache-2.0"\n', ""), "licence"),
        (("bytes =", "size ="), "size"),
        (("accuracy =", "errors ="), "accuracy"),
        (("p_mpjpe_mm", "pmpjpe"), "pmpjpe"),
        (("", "[x]\nfile = 'a'\n"), "training_data"),
    ],
)
def test_a_registry_that_is_not_of_its_form(tmp_path, monkeypatch, change, words):
    text = store.REGISTRY.read_text(encoding="utf-8")
    broken = tmp_path / "registry.toml"
    broken.write_text(text.replace(*change, 1), encoding="utf-8")
    monkeypatch.setattr(store, "REGISTRY", broken)
    with pytest.raises(Pose3dError, match=words) as caught:
        store.entries()
    assert "\n" not in str(caught.value)


def test_no_registry(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "REGISTRY", tmp_path / "absent.toml")
    with pytest.raises(Pose3dError, match=r"absent\.toml: cannot be read"):
        store.entries()


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_entry(name):
    entry = PUBLIC[name]
    assert entry.name == name
    assert name not in ENTRIES
    assert entry.kind in ("people", "pose2d")
    assert entry.licence
    assert entry.training_data
    assert entry.config.endswith(".py")
    assert re.fullmatch(r"[0-9a-f]{8,64}", entry.sha256)
    for url in entry.urls:
        assert urlsplit(url).scheme == "https"
        assert url.endswith(f"/{entry.file}")
    # OpenMMLab's names end in the start of the sum, some with a date behind it.
    assert re.fullmatch(rf".*-{entry.sha256[:8]}(_\d{{8}})?\.pth", entry.file)


def test_public_files_do_not_meet_in_the_cache():
    assert len({entry.file for entry in PUBLIC.values()}) == len(PUBLIC)
    assert len({entry.sha256 for entry in PUBLIC.values()}) == len(PUBLIC)


def test_find():
    assert store.find("mixste") == ENTRIES["mixste"]
    assert store.find("rtmdet-m") == PUBLIC["rtmdet-m"]
    with pytest.raises(Pose3dError, match="did you mean hrnet-w48-256x192"):
        store.find("HRNet-W48-256x19")
    with pytest.raises(Pose3dError, match="'nobody': pose3d weights list"):
        store.find("nobody")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("kind =", "sort ="), "rtmdet-m-person.*sort"),
        (('sha256 = "235e8209"\n', ""), "sha256"),
        (("urls =", "url ="), "urls"),
    ],
)
def test_public_tables_that_are_not_of_their_form(tmp_path, monkeypatch, change, words):
    text = store.PUBLIC.read_text(encoding="utf-8")
    start = text.index("[rtmdet-m-person]")
    broken = tmp_path / "public.toml"
    broken.write_text(text[:start] + text[start:].replace(*change, 1), encoding="utf-8")
    monkeypatch.setattr(store, "PUBLIC", broken)
    with pytest.raises(Pose3dError, match=f"public.toml: .*{words}"):
        store.find("rtmdet-m")
