"""Moves bytes: the engine's uploads and downloads, the only home of threads and local files."""
