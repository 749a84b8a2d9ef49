"""The node program with all that a template may carry: as it is written, made bare, and as it is carried."""

from __future__ import annotations

from cloud import assets
from cloud.template import archive
from cloud.template.bare import bare

CARRIED = archive.node_files(frozenset(archive.OPTIONAL))
PATHS = sorted(CARRIED)
SOURCES = {
    name: (assets.NODE_PROGRAM / name.removeprefix("node/")).read_text(encoding="utf-8") for name in PATHS
}
BARE = {name: bare(source) for name, source in SOURCES.items()}
