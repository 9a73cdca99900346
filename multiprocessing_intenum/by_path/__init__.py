"""Values by path: a file, its lock, its life, and what is in it."""
