"""Checkpoints that survive, and which one to go on from."""
