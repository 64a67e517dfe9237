"""``pose3d weights list, fetch, verify, path, remove``: against a server on this machine."""

import hashlib
import io
import re

import pytest
from rich.console import Console

from pose3d import terminal, weights_store
from tests.weights.site import Site, file, in_turn, status
from weights import store

CONTENT = bytes(range(256)) * 100
NAMES = ("small", "large")
TABLE = """
[{name}]
kind = "people"
urls = ["{url}"]
sha256 = "{sha256}"
licence = "CC-BY-4.0"
training_data = ["COCO"]
config = "mmdet/.mim/configs/net.py"
accuracy = "box AP 40.9"
"""


@pytest.fixture
def site(tmp_path, monkeypatch, here):
    """Two public files, on a server of this machine."""
    site = Site()
    text = ""
    for name in NAMES:
        site.pages[f"/{name}.pth"] = file(CONTENT)
        digest = hashlib.sha256(CONTENT).hexdigest()[:8]
        text += TABLE.format(name=name, url=site.url(f"/{name}.pth"), sha256=digest)
    public = tmp_path / "public.toml"
    public.write_text(text, encoding="utf-8")
    monkeypatch.setattr(store, "PUBLIC", public)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("POSE3D_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("POSE3D_OFFLINE", raising=False)
    yield site
    site.close()


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def refused(command):
    """Runs `pose3d weights` in vain: the one line on stderr."""

    def run(*arguments):
        code, out, err = command("weights", *arguments)
        assert (code, out) == (2, "")
        assert err.startswith("error: ")
        assert (err.count("\n"), err[-1]) == (1, "\n")
        return err

    return run


def rows(out):
    """The rows of the table by their names; cells are two blanks apart."""
    lines = [re.split(r"  +", line.strip()) for line in out.splitlines() if line.startswith(" ")]
    assert lines[0] == ["name", "for", "accuracy", "size", "licence", "here"]
    return {name: cells for name, *cells in lines[1:]}


def test_help(command):
    code, out, err = command("weights", "-h")
    assert (code, err) == (0, "")
    for name in ("list", "fetch", "verify", "path", "remove"):
        assert re.search(rf"^\W+{name} ", out, re.MULTILINE)
        code, told, err = command("weights", name, "-h")
        assert (code, err) == (0, "")
        assert name == "list" or "Example: pose3d weights" in told


def test_list(command, site, cache):
    code, out, err = command("weights", "list")
    assert (code, err) == (0, "")
    assert out.isascii()
    assert all(line == line.rstrip() for line in out.splitlines())
    told = rows(out)
    assert set(told) == {*store.entries(), *NAMES}
    assert told["small"] == ["people", "box AP 40.9", "?", "CC-BY-4.0", "no"]
    mixste = store.entries()["mixste"]
    size = f"{mixste.bytes / 1e6:.1f} MB"
    assert told["mixste"][0] == "lifting"
    assert told["mixste"][2:] == [size, "Apache-2.0", "shipped"]
    assert str(cache) in out
    command("weights", "fetch", "small")
    told = rows(command("weights", "list")[1])
    assert told["small"][2:] == ["0.0 MB", "CC-BY-4.0", "yes"]
    assert told["large"][-1] == "no"


def test_list_of_the_real_table(command):
    told = rows(command("weights", "list")[1])
    assert set(told) == {*store.entries(), *store.public()}
    assert {told[name][0] for name in store.public()} == {"people", "2D pose"}


def test_list_in_a_terminal_of_80_columns(cache, monkeypatch):
    monkeypatch.setenv("POSE3D_HOME", str(cache))
    text = io.StringIO()
    console = Console(file=text, width=80, force_terminal=True, markup=False, emoji=False)
    console.print(weights_store._table(weights_store.box.SIMPLE_HEAD))
    shown = re.sub(r"\x1b\[[0-9;]*m", "", text.getvalue())
    assert all(len(line) <= 80 for line in shown.splitlines())
    for name in (*store.entries(), *store.public()):
        assert re.search(rf"^ +{name} .*(MB|\?) +Apache-2.0 +(shipped|no) *$", shown, re.MULTILINE)
    folded = [line for line in shown.splitlines() if line.strip() and line.startswith(" " * 6)]
    assert folded == []


def test_fetch(command, site, cache):
    code, out, err = command("weights", "fetch", "small", "mixste")
    assert (code, err) == (0, "")
    assert out == f"{cache / 'small.pth'}\n{store.path_of('mixste')}\n"
    assert (cache / "small.pth").read_bytes() == CONTENT
    code, out, err = command("weights", "fetch", "--all", "small")
    assert (code, err) == (0, "")
    assert out == f"{cache / 'small.pth'}\n{cache / 'large.pth'}\n"
    assert [asked[0] for asked in site.asked] == ["/small.pth", "/large.pth"]


def test_fetch_shows_its_progress_in_a_terminal_only(command, site, monkeypatch):
    text = io.StringIO()
    monkeypatch.setattr(terminal, "errors", Console(file=text, force_terminal=True, width=100))
    code, out, err = command("weights", "fetch", "small")
    assert (code, err) == (0, "")
    assert out.endswith("small.pth\n")
    assert "25.6/25.6 kB" in text.getvalue()


def test_fetch_goes_on_after_a_break_and_says_so(command, site, cache, monkeypatch):
    monkeypatch.setattr("weights.download.time.sleep", lambda _: None)
    site.pages["/small.pth"] = in_turn(file(CONTENT, stop=1000), file(CONTENT))
    code, out, err = command("weights", "fetch", "small")
    assert (code, out) == (0, f"{cache / 'small.pth'}\n")
    assert err.startswith("warning: small: ")
    assert "broke off after 1000 of 25600 bytes" in err
    assert err.count("\n") == 1


def test_fetch_that_fails_for_one(command, site, cache):
    site.pages["/small.pth"] = status(404)
    code, out, err = command("weights", "fetch", "--all")
    assert code == 2
    assert out == f"{cache / 'large.pth'}\n"
    assert err.startswith("error: small cannot be downloaded: ")
    assert "HTTP 404" in err
    assert err.count("\n") == 1


def test_fetch_refuses(refused, site, cache):
    assert "did you mean small?" in refused("fetch", "large", "smal")
    assert "give the names of weights, or --all" in refused("fetch")
    assert "pose3d weights fetch small" in refused("fetch", "--offline", "small")
    assert "--help shows the usage" in refused("fetch", "--of", "small")
    assert site.asked == []
    site.pages["/small.pth"] = file(CONTENT[::-1])
    assert "its SHA-256 begins with" in refused("fetch", "small")
    assert not (cache / "small.pth").exists()


def test_path(command, refused, site, cache):
    assert command("weights", "path", "mixste") == (0, f"{store.path_of('mixste')}\n", "")
    assert f"small: not in {cache}" in refused("path", "small")
    assert site.asked == []
    command("weights", "fetch", "small")
    assert command("weights", "path", "small") == (0, f"{cache / 'small.pth'}\n", "")
    assert "no weights named 'x'" in refused("path", "x")
    assert "NAME" in refused("path")


def test_verify(command, refused, site, cache):
    shipped = "".join(f"{name}: good\n" for name in store.entries())
    assert command("weights", "verify") == (0, shipped, "")
    assert "pose3d weights fetch small" in refused("verify", "small")
    command("weights", "fetch", "--all")
    assert command("weights", "verify") == (0, f"{shipped}small: good\nlarge: good\n", "")
    (cache / "small.pth").write_bytes(CONTENT[:-1])
    code, out, err = command("weights", "verify", "large", "small")
    assert (code, out) == (2, "large: good\n")
    assert f"{cache / 'small.pth'}: damaged" in err
    assert err.count("\n") == 1
    assert "no weights named 'x'" in refused("verify", "x")


def test_remove(command, refused, site, cache):
    command("weights", "fetch", "--all")
    assert "belongs to pose3d itself" in refused("remove", "small", "mixste")
    assert "give the names" in refused("remove")
    assert "no weights named 'x'" in refused("remove", "small", "x")
    assert (cache / "small.pth").exists()
    assert command("weights", "remove", "small") == (0, f"{cache / 'small.pth'}\n", "")
    assert not (cache / "small.pth").exists()
    assert "nothing to remove" in refused("remove", "small")
    assert command("weights", "remove", "--all") == (0, f"{cache / 'large.pth'}\n", "")
    assert command("weights", "remove", "--all") == (0, "", "")
    assert store.path_of("mixste").exists()
