"""An error for the user -> one sentence on stderr and an exit code. The same for every trainer here."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from keep.checkpoints import CheckpointError
from machine.memory import MemoryShortError
from ranks.exact import DisagreementError
from ranks.order import OrderError
from recipe import ChoiceError
from sources.files import DataError

from show.report import ReportError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def exit_codes() -> Iterator[None]:
    """1: not to be had or written, or ranks disagree. 2: a value that no run can have. 130: interrupted."""
    try:
        yield
    except (SystemExit, KeyboardInterrupt) as error:
        if isinstance(error, KeyboardInterrupt) or isinstance(error.__context__, KeyboardInterrupt):
            sys.exit(130)  # which Lightning turns into 1
        raise
    except (ChoiceError, OrderError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except (DataError, DisagreementError, ReportError, CheckpointError, MemoryShortError) as error:
        sys.exit(str(error))
