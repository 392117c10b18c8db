"""Sensors for objects."""
