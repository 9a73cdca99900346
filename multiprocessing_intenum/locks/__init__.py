"""Locks of any kind, and the one that no killed holder keeps."""
