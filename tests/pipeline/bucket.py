"""An object store for tests, on a folder: ``bucket://FOLDER%2FESCAPED/name/of/object``.

As in S3, names are flat, objects are put whole, and there is neither renaming nor locking.
Importing this module makes it known to fsspec, in workers as well.
"""

import hashlib
import os
import uuid
from io import BytesIO
from pathlib import Path
from urllib.parse import quote, unquote

import fsspec
from fsspec import AbstractFileSystem

from pipeline.batch.storage import StoredPath
from pipeline.batch.work import VideoWork
from tests.pipeline.batch_fakes import FakeWork


class Bucket(AbstractFileSystem):
    protocol = "bucket"
    cachable = False

    def ls(self, path, detail=True, **_):
        path = self._strip_protocol(path)
        entries = {}
        for key in self._keys(path.partition("/")[0]):
            inside = key == path or key.startswith(f"{path}/")
            if not inside:
                continue
            if key == path:
                entries[key] = self._info(key)
                continue
            name, slash, _ = key.removeprefix(f"{path}/").partition("/")
            full = f"{path}/{name}"
            entries[full] = (
                {"name": full, "type": "directory", "size": 0} if slash else self._info(full)
            )
        if not entries:
            raise FileNotFoundError(path)
        return list(entries.values()) if detail else list(entries)

    def info(self, path, **_):
        path = self._strip_protocol(path)
        if _file(path).is_file():
            return self._info(path)
        if self.ls(path):
            return {"name": path, "type": "directory", "size": 0}
        raise FileNotFoundError(path)

    def _info(self, key):
        content = _file(key).read_bytes()
        return {
            "name": key,
            "type": "file",
            "size": len(content),
            "ETag": hashlib.md5(content).hexdigest(),
            "LastModified": _file(key).stat().st_mtime,
        }

    def _keys(self, root):
        folder = Path(unquote(root))
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        return sorted(f"{root}/{unquote(name)}" for name in names if not name.endswith(".part"))

    def _open(self, path, mode="rb", **_):
        path = self._strip_protocol(path)
        return _file(path).open("rb") if mode == "rb" else _Put(path)

    def cp_file(self, path1, path2, **_):
        with self.open(path2, "wb") as file:
            file.write(self.cat_file(path1))

    def _rm(self, path):
        _file(self._strip_protocol(path)).unlink()

    def mkdir(self, path, create_parents=True, **_):
        pass

    def mv(self, *_, **__):
        raise PermissionError("an object cannot be renamed")


class _Put(BytesIO):
    """An object that is there when it is closed."""

    def __init__(self, key):
        super().__init__()
        self.key = key

    def close(self):
        if not self.closed:
            path = _file(self.key)
            path.parent.mkdir(exist_ok=True)
            unfinished = path.with_name(f"{uuid.uuid4().hex}.part")
            unfinished.write_bytes(self.getvalue())
            os.replace(unfinished, path)
        super().close()


def _file(key):
    root, _, name = key.partition("/")
    return Path(unquote(root), quote(name, safe=""))


fsspec.register_implementation("bucket", Bucket, clobber=True)


def new_bucket(folder):
    """The root of a store in a folder."""
    return StoredPath(f"bucket://{quote(str(folder), safe='')}")


# Of this module, so that workers import it.
class FakeWorkOnBuckets(FakeWork):
    pass


class VideoWorkOnBuckets(VideoWork):
    pass
