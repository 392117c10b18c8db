"""Operators for resumable transfers."""
