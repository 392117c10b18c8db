"""The homes of checkpoints: one small class each, and the choice among them."""

from __future__ import annotations

KEY = "[0-9a-f]{40}"  # as a regular expression: what checkpoint_key returns
PREFIX = "ossresume-"  # of a checkpoint's name among those of others: Variables, XComs, task states
