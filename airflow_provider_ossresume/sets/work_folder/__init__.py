"""The work folder, on OSS or on a share, and the files in it: plans, ledgers, facts and checkpoints."""
