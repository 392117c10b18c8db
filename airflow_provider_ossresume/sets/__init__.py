"""Moves many files: a folder or a prefix, in one task or in batches. Without Airflow.

``set_transfers`` is the entry point. The folders are the three steps and what they need:

- ``plan``: list both sides, compare them, seal a plan
- ``batch``: move the files of one batch, write its ledger
- ``finish``: prove that every file is in its place, then delete what a mirror has to delete
- ``locations``: a folder or a prefix as a source or a target
- ``movers``: move single files, for each pair of locations
- ``work_folder``: where plans, ledgers, facts and checkpoints are kept

``ports`` has the Protocols between them, and ``spool`` keeps rows in a ``temporary_database`` while a step
runs.
"""
