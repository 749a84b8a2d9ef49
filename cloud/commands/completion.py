"""`completion`: the script that makes a shell complete commands and flags."""

from __future__ import annotations

import click

from cloud.commands.options import Command, make_ui
from cloud.errors import Problem, RequestError

SHELLS = ("bash", "zsh", "fish")
PROGRAM, VARIABLE = "hotrun", "_HOTRUN_COMPLETE"


@click.command(
    cls=Command, example="completion bash >> ~/.bashrc", short_help="Print the completion script of a shell."
)
@click.argument("shell", metavar="bash|zsh|fish")
def completion(shell: str) -> int:
    """Print the script that makes a shell complete the commands and flags of `hotrun`."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if shell not in SHELLS or found is None:
        what = f"shell is {shell}, but {', '.join(SHELLS)} are possible"
        raise RequestError(Problem(code="choice-unknown", what=what, fix=f"{PROGRAM} completion bash"))
    root = click.get_current_context().find_root().command
    script = found(root, {}, PROGRAM, VARIABLE)
    make_ui().raw(
        script.source_template % script.source_vars()
    )  # source() would start bash to ask its version
    return 0
