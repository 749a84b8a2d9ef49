"""A pickle of numpy arrays -> the arrays, without executing anything that it may hold."""

from __future__ import annotations

import io
import pickle
from typing import Any

# What a pickle of numpy arrays consists of, by the names that numpy 1 wrote and numpy 2 has.
_ADMITTED = {
    ("numpy", "dtype"): ("numpy", "dtype"),
    ("numpy", "ndarray"): ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"): ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"): ("numpy._core.multiarray", "_reconstruct"),
}


class ArraysOnly(pickle.Unpickler):
    """Reads numpy arrays in tuples, lists and dicts, and refuses every class that arrays are not made of."""

    def find_class(self, module: str, name: str) -> Any:
        """The class, if it is one that numpy arrays are made of."""
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"{module}.{name} is refused, only numpy arrays are read")
        return super().find_class(*_ADMITTED[module, name])

    @classmethod
    def loads(cls, content: bytes) -> Any:
        """Read a pickle of Python 2 or 3; strings of Python 2 become str, a character per byte."""
        return cls(io.BytesIO(content), encoding="latin1").load()
