"""The program's own environments: made once, aside, under a lock."""
