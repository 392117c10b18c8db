"""The first step: list both sides, compare them and seal a plan."""
