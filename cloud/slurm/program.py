"""The node program as job.sbatch carries it: a .tar.gz in base64. Pure: reads only the program's files."""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import io
import tarfile
from dataclasses import dataclass

from cloud import assets

_COLUMNS = 100
_START = b'from node.slurm.__main__ import main\n\nif __name__ == "__main__":\n    raise SystemExit(main())\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """An archive, ready to be written."""

    lines: tuple[str, ...]
    """Base64, a line each."""
    sha256: str
    """Of the archive itself."""


@functools.cache
def packed() -> Packed:
    """Pack the node program as it stands: this file has room for the whole of it, comments included."""
    files = {"__main__.py": _START}
    for path in sorted(assets.NODE_PROGRAM.rglob("*.py")):
        files[f"node/{path.relative_to(assets.NODE_PROGRAM).as_posix()}"] = path.read_bytes()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(files):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(files[name]), 0o644
            tar.addfile(info, io.BytesIO(files[name]))
    data = gzip.compress(archive.getvalue(), 9, mtime=0)
    text = base64.b64encode(data).decode("ascii")
    lines = tuple(text[start : start + _COLUMNS] for start in range(0, len(text), _COLUMNS))
    return Packed(lines=lines, sha256=hashlib.sha256(data).hexdigest())
