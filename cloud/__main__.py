"""`python3 -m cloud` from the checkout's root: the same program as cloud/generator.py."""

from __future__ import annotations

from cloud import bootstrap

bootstrap.enter()

from cloud.cli import main  # noqa: E402 - what it imports may only be there after `enter`

main()
