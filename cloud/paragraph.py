"""Text for people -> lines that fit their terminal; a command stays whole, so that it can be copied. Pure."""

from __future__ import annotations

import re
import textwrap

_GLUE = "\0"  # in place of a command's blanks while lines are made
_NO_PROSE = re.compile(r"^[A-Z\d…]+[,;:.)]*$|[=/]")  # N, NAME, a path, a setting
_LABEL = re.compile(r"  (?:fix|log|docs|also) +|  (?=\S)|(?=\S)")
_AS_IT_IS = re.compile(r"next  | {5}|\S+/  ")  # commands with what they do, and what lies where
_LEAST_COLUMNS = 20


def wrapped(text: str, columns: int, program: str) -> list[str]:
    """Return lines of at most so many columns, but for a word or a command that is longer."""
    lines = textwrap.wrap(
        _glued(text, program), max(columns, _LEAST_COLUMNS), break_long_words=False, break_on_hyphens=False
    )
    return [line.replace(_GLUE, " ") for line in lines] or [""]


def page(text: str, columns: int, program: str) -> str:
    """Wrap the long sentences of a page below themselves; logs and commands to type stay as they are."""
    return "\n".join(piece for line in text.split("\n") for piece in _fitting(line, columns, program))


def _fitting(line: str, columns: int, program: str) -> list[str]:
    label = _LABEL.match(line)
    if len(line) <= columns or label is None or _AS_IT_IS.match(line):
        return [line]
    indent = " " * label.end()
    first, *others = wrapped(line[label.end() :], columns - label.end(), program)
    return [label[0] + first, *(indent + other for other in others)]


def _glued(text: str, program: str) -> str:
    """Glue the words of a command: two behind the program, then flags, their values and what is no prose."""
    parts: list[str] = []
    length = 0  # of the command that is going on, in words
    for word in text.split(" "):
        before = parts[-1].rpartition(_GLUE)[2] if parts else ""
        belongs = length == 2 or (length == 1 and word[:1].islower())
        belongs |= length > 2 and (word[:1] == "-" or before[:2] == "--" or bool(_NO_PROSE.search(word)))
        if length and belongs and not before.endswith((",", ";", ":", ".", ")")):
            parts[-1] += _GLUE + word
            length += 1
        else:
            parts.append(word)
            length = int(word.strip("(`") == program)
    return " ".join(parts)
