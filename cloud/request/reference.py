"""settings.py and model.py -> docs/configuration.md. Pure.

`python3 -m cloud.request.reference > docs/configuration.md` writes the page again.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from cloud.request.profiles import PROFILES
from cloud.request.settings import SETTINGS, Setting

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = """\
# Configuration

Made from the sentences in cloud/model.py: change them there, then
`python3 -m cloud.request.reference > docs/configuration.md`.

Every setting is a flag of `hotrun generate` and a key of the file that `--from FILE` names; a flag wins over
the file. In the file `-` and `_` are the same, and a relative `repo` starts at the file's directory:

```yaml
repo: https://github.com/you/digits.git
workers: 4
requirements: .
entrypoint: train.py
args: --epochs 3
env:
  OMP_NUM_THREADS: 2
```

`repo`, `workers` and `entrypoint` must be given; at a terminal, `hotrun generate` asks for what is missing.
Values that every machine gets its own of (`MASTER_ADDR`, `RANK`, `HOTRUN_…`) and secrets are refused in
`env`: the template is a file that others read.

| key | flag | default | meaning |
|---|---|---|---|
"""

_PROFILES_HEAD = """
## Profiles

Defaults that `profile` sets instead. Where there is none (—), the setting must be given.

"""


def page() -> str:
    """Return the whole of docs/configuration.md."""
    return _HEAD + "".join(_row(setting) for setting in SETTINGS) + _PROFILES_HEAD + "".join(_profile_rows())


def _row(setting: Setting) -> str:
    default = (
        f"`{setting.shown_default}`"
        if setting.shown_default
        else "must be given"
        if setting.is_required
        else ""
    )
    flag = setting.flag if setting.kind == "switch" else f"{setting.flag} {setting.metavar}"
    escaped = flag.replace("|", "\\|")
    return f"| `{setting.key}` | `{escaped}` | {default} | {setting.sentence} |\n"


def _profile_rows() -> Iterator[str]:
    keys = list(dict.fromkeys(key for profile in PROFILES.values() for key in profile))
    yield f"| key | {' | '.join(PROFILES)} |\n"
    yield "|---" * (len(PROFILES) + 1) + "|\n"
    for key in keys:
        values = (f"`{profile[key]}`" if key in profile else "—" for profile in PROFILES.values())
        yield f"| `{key}` | {' | '.join(values)} |\n"


if __name__ == "__main__":
    sys.stdout.write(page())
