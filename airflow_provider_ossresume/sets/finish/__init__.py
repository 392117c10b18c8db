"""The last step: prove that every file of a plan is in its place, then delete what a mirror has to delete."""
