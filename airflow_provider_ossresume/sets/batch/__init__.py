"""The second step: move the files of one batch and write its ledger."""
