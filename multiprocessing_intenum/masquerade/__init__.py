"""How a shared value answers as its member."""
