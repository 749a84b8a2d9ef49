"""finish: the result goes to Heat, everybody says bye, workers of a good run power off."""

from __future__ import annotations

import json
from typing import Any

from .. import page, signals, standing
from ..context import Context
from ..host import SKIPPED

_BYE_S = 15.0
_GATE_S = 120.0
_LATE_S, _LATE_IN_REHEARSAL_S = 1800.0, 20.0  # machines of a cloud boot minutes apart


def run(context: Context, deadline: float) -> str:
    """End this node's part. Returns what follows, for the console."""
    final = context.found["final"]
    standing.keep(context.layout.judged, str(context.identity.rerun))  # the next start begins no run again
    if context.coordinator is not None:
        context.coordinator.wait_for_gate(_GATE_S)
        _report(context)
    context.connected().send("bye")
    if context.coordinator is not None:
        late_s = _LATE_IN_REHEARSAL_S if context.host.is_rehearsal else _LATE_S
        silent = context.coordinator.wait_for_byes(_BYE_S, late_s)
        context.layout.memory.unlink(missing_ok=True)  # the next start is another run
        return f"results kept for fetch{'; no word from ' + ', '.join(silent) if silent else ''}"
    if final["state"] == "done" or context.host.is_rehearsal:
        return SKIPPED if context.host.is_rehearsal else "powers off"
    return "stays up so that it can be looked at"


def _report(context: Context) -> None:
    document = context.found["document"]
    world, problems = document["world_size"], document["problems"]
    failed = document["state"] == "failed"  # else what is told are warnings
    size = f"world size {world['proven']} of {world['expected']}"
    if failed:
        reason = f"{problems[0]['node']}: {problems[0]['stage']}: {problems[0]['what']}"
    else:
        how = "trained as one" if world["proven"] == world["expected"] else "trained separately, as allowed"
        reason = f"{len(document['nodes'])} machines {how} ({size})"
    shown = page.page(
        page.failed(problems[0]) if failed else f"done: {reason}", page.stages(document["nodes"]),
        page.numbers(document["result"], size, f"run {document['run']}"),
        page.until(context.off_at), rerun=context.identity.rerun,
    )  # fmt: skip
    told: dict[str, Any] = {
        "signal_id": signals.numbered("result", context.identity.rerun), "ok": not failed, "reason": reason,
        "data": {**document, "page": shown},
    }  # fmt: skip
    path = context.layout.untold
    standing.keep(path, json.dumps(told))  # sent again while the machine stands by
    if signals.send(context.job, **told, note=context.console.say):
        path.unlink(missing_ok=True)
