"""Pure values and decisions: no file, socket, clock or thread is touched here."""
