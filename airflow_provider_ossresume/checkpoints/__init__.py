"""Checkpoint stores: one small class for each, and the choice among them."""

from __future__ import annotations

KEY = "[0-9a-f]{40}"  # a regular expression for checkpoint keys
PREFIX = "ossresume-"  # of the names of Variables, XComs and task states that are checkpoints
