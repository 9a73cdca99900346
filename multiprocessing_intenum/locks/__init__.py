"""Locks of any kind, and the lock that no killed holder keeps."""
