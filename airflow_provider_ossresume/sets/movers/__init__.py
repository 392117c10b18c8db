"""One mover for each pair of locations: it compares, moves and deletes single files."""
