"""What runs on every node. Standard library only, Python 3.9 or newer, imports nothing of the rest."""
