"""The homes of checkpoints: one small class each, and the choice among them."""

from __future__ import annotations

PREFIX = "ossresume-"  # of a checkpoint's name among those of others: Variables, XComs, task states
