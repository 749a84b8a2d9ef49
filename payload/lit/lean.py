"""Imported before Lightning: keeps from every rank what Lightning would load and nothing here uses."""

from __future__ import annotations

from lightning_utilities.core.imports import RequirementCache

# NOTE: torchmetrics, which Lightning imports, loads them wherever they are: 26 MiB in every rank and
# a quarter of a second each; matplotlib warns where HOME can't be written, and a torchvision made for another
# torch ends the program. Can go when torchmetrics loads them where it uses them.
_LEFT_OUT = ("matplotlib", "torchvision", "rich")
_is_met = RequirementCache.__bool__
RequirementCache.__bool__ = lambda self: not self.requirement.startswith(_LEFT_OUT) and _is_met(self)
