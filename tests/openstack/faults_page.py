"""What the program said in the tests of faults -> docs/openstack-faults.md.

With HOTRUN_FAULTS_PAGE=1 every test adds its commands to a file of .build, as several tests run at a time;
`python -m tests.openstack.faults_page` makes the page of them. `make openstack-faults` does both.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "openstack-faults.md"
NOTES = ROOT / ".build" / "reports" / "openstack-faults.jsonl"
MAX_LINES = 16
HEAD = """# Faults on a real OpenStack, and what was said

Written by `make openstack-faults`; each is a test below tests/openstack, named here. The OpenStack is that of Debian
12 (Zed), all on one computer; where no machines are meant to run, a stand-in says the master's signals. Left out with …: lines beyond the
first sixteen.
"""
_PLACES = {  # of this computer, and what stands for them
    re.compile(r"(?:\S*python\S* )?\S*/cloud/generator\.py"): "hotrun",
    re.compile(r"/[^\s'\"]*/place/"): "",  # the folder of a test
    re.compile(r"/[^\s'\"]*/place\b"): ".",
    re.compile(r"/[^\s'\"]*?(?=/var/lib/hotrun/)"): "",  # that of a machine
}
ROWS = {  # test -> what was done; shown is its first run that did not end with 0, else its last
    "test_nothing_configured": "no login at all",
    "test_a_wrong_password": "a wrong password",
    "test_a_keystone_out_of_reach": "Keystone can't be reached",
    "test_an_application_credential_is_named_before_anything_is_made": "an application credential that makes no stacks",
    "test_quotas_one_short_say_what_would_fit": "quota one short",
    "test_all_that_is_missing_is_found_at_once": "image, flavor, key and network missing",
    "test_a_parameter_out_of_range_is_said_once": "a parameter out of range",
    "test_an_image_that_is_too_large_for_the_flavor": "an image that does not fit the flavor",
    "test_a_name_of_somebody_else_is_refused": "the name is taken by somebody else's stack",
    "test_another_template_is_never_taken_silently": "a stack of that name was made from another template",
    "test_a_file_edited_after_its_rehearsal_is_said": "the template was changed after its rehearsal",
    "test_a_machine_that_fails_is_named_with_stage_and_line": "a machine fails and the master signals FAILURE",
    "test_a_machine_that_never_speaks_is_named": "the master never speaks",
    "test_no_host_for_a_machine_is_named": "no host for a machine",
    "test_a_quota_that_shrank_after_the_plan_is_named": "the quota shrinks between plan and creation",
    "test_a_heat_that_restarts_is_survived": "Heat's engine is killed during the creation and started again",
    "test_a_token_that_expires_is_survived": "the Keystone token expires under way",
    "test_killed_at_any_step_the_next_one_goes_on": "`up` is killed with SIGKILL, and typed again",
    "test_an_interrupt_keeps_the_stack_and_says_so": "Ctrl-C without a terminal",
    "test_a_stack_that_somebody_deletes_is_said": "somebody deletes the stack while it is followed",
    "test_down_leaves_nothing_and_keeps_unfetched_results": "`down` before the results were fetched",
    "test_a_down_that_was_killed_is_finished_by_the_next": "`down` is killed with SIGKILL, and typed again",
    "test_a_port_in_the_way_is_named_and_the_delete_goes_on": "a delete that fails, until what is in its way is gone",
    "test_what_is_left_at_the_deadline_is_named": "something is still there at the deadline of `down`",
    "test_a_program_that_fails_says_why_and_is_mended_by_a_rerun": "the program fails on real machines",
}


class Run(NamedTuple):
    """One command of a test."""

    words: tuple[str, ...]
    code: int
    out: str
    err: str


def note(words: tuple[str, ...], code: int, out: str, err: str) -> None:
    """Keep what a command of the running test ended with."""
    if os.environ.get("HOTRUN_FAULTS_PAGE"):
        test = re.split(r"::|\[| \(|@", os.environ["PYTEST_CURRENT_TEST"])[1]
        NOTES.parent.mkdir(parents=True, exist_ok=True)
        with NOTES.open("a", encoding="utf-8") as notes:
            notes.write(json.dumps([test, Run(words, code, out, err)]) + "\n")


def write(notes: Path = NOTES, page: Path = PAGE) -> None:
    """Write the page; LookupError names tests that have not run."""
    runs: dict[str, list[Run]] = {}
    for line in notes.read_text(encoding="utf-8").splitlines():
        test, run = json.loads(line)
        runs.setdefault(test, []).append(Run(*run))
    if missing := ROWS.keys() - runs.keys():
        raise LookupError(f"not run: {', '.join(sorted(missing))}")
    sections = [_section(test, title, runs[test]) for test, title in ROWS.items()]
    page.write_text("\n".join([HEAD, *sections]), encoding="utf-8")


def _section(test: str, title: str, runs: list[Run]) -> str:
    run = next((run for run in runs if run.code and "unknown-stack" not in run.err), runs[-1])
    words = [Path(word).name if word.startswith("/") else word for word in run.words]
    said = _said(run)
    for place, instead in _PLACES.items():
        said = place.sub(instead, said)
    lines = [line.rstrip() for line in said.splitlines() if line.strip()]
    shown = [*lines[:MAX_LINES], *(["…"] if len(lines) > MAX_LINES else [])]
    command = " ".join(word for word in words if word != "--json")
    body = "\n".join(f"    {line[:160]}" for line in [f"$ hotrun {command}", *shown])
    return f"## {title[:1].upper()}{title[1:]}\n\n{body}\n\nExit code {run.code} · `{test}`\n"


def _said(run: Run) -> str:
    """What a person reads; of a JSON document its problems."""
    try:
        found = json.loads(run.out)
    except ValueError:
        return run.out + run.err if run.code in (0, 5) else run.err + run.out
    lines = [f"state: {found['state']}"] if "state" in found else []
    for problem in found.get("problems", []):
        lines.append(f"{problem['level']}: {problem['what']}")
        lines += [f"  fix: {problem['fix']}"] if problem["fix"] else []
        lines += [f"    {line}" for line in problem["log"]]
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        write()
    except (OSError, LookupError) as error:
        sys.exit(f"the page is not written: {error}")
