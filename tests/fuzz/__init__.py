"""Bytes without end against everything that reads what others wrote: ``python -m tests.fuzz TARGET --seconds N``.

Guided by coverage where atheris is installed, else random changes to the seeds; ``test_fuzz.py`` runs a little of the
latter. ``targets.py`` says what each target promises.
"""
