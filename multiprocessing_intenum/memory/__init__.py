"""Shared memory: how long it lives, what the words in it mean, and how a waiter sleeps on one of them."""
