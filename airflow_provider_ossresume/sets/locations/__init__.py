"""The two kinds of source and target: a local folder, and the objects of a prefix."""
