"""hotrun: four answers become one Heat template, rehearsed here and run on OpenStack."""

__version__ = "0.1.0"
