"""A reviewed template -> a stack on a cloud, followed, brought home and deleted. The edge: it changes clouds.

access, survey, create, watch, fetch and down are the steps; api.py is what they ask of a cloud, shell.py what
they ask of a machine over ssh. docs/decisions/0004-the-cloud.md tells how they fit together.
"""
