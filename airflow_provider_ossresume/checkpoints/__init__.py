"""The homes of checkpoints: one small class each, and the choice among them."""
