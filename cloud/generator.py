#!/usr/bin/env python3
"""The door: `python3 cloud/generator.py ...` is the whole program, from any folder and any Python.

Python put cloud/ on the path, where heat.py would hide the heat package: the checkout's root takes its place.
"""

import os
import sys

HERE = os.path.dirname(os.path.realpath(__file__))  # where a symlink to this file points
sys.path[:] = [os.path.dirname(HERE)] + [entry for entry in sys.path if os.path.realpath(entry) != HERE]

if __name__ == "__main__":
    if sys.version_info < (3, 7):  # the next file could not even be read
        sys.exit("hotrun needs Python 3.11 or newer; type: python3.11 " + os.path.abspath(__file__))
    from cloud import bootstrap

    bootstrap.enter()  # comes back where click, rich, yaml and jinja2 can be imported, or never
    from cloud.cli import main

    main()
