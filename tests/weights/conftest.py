"""What the tests of downloads share: a server, and an empty cache folder."""

import pytest

from tests.weights.site import Site


@pytest.fixture
def site():
    site = Site()
    yield site
    site.close()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The cache folder of the test; it is made by the first download."""
    folder = tmp_path / "home" / "pose3d"
    monkeypatch.setenv("POSE3D_HOME", str(folder))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("POSE3D_OFFLINE", raising=False)
    return folder
