"""`20%`, `worker-1=20%` -> how much of a core each machine may use. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cloud.errors import Problem, RequestError
from cloud.request.rules import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

_PERCENT = re.compile(r"(\d+(?:\.\d+)?)%?")
LEAST, MOST = 1.0, 100_000.0  # the kernel's quota is in steps of a millisecond of each tenth of a second


def read(texts: Sequence[str], names: Sequence[str]) -> dict[str, float]:
    """Machine -> percent of one core, of the machines that are limited; 200 is two cores.

    A share without a name is every machine's that has none of its own. Raises RequestError with all mistakes.
    """
    own: dict[str, float] = {}
    problems = []
    for text in texts:
        name, _, share = text.strip().rpartition("=")
        matched = _PERCENT.fullmatch(share)
        if name and name not in names:
            what = f"{shown(text)}: there is no machine {shown(name)}, only {names[0]} to {names[-1]}"
        elif matched is None or not LEAST <= float(matched[1]) <= MOST:
            what = f"{shown(text)}: a share is percent of one core, as in 20% or worker-1=20%"
        else:
            own[name] = float(matched[1])
            continue
        problems.append(Problem(code="cpu-share-not-understood", what=what, where="flag --cpu-share"))
    if problems:
        raise RequestError(*problems)
    everyone = own.pop("", None)
    return own if everyone is None else {name: own.get(name, everyone) for name in names}
