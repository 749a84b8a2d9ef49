"""A change of a stack that is there: another size, another run."""
