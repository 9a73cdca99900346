"""What an enum is to a shared value: its members, which of them may follow which, and how two enums differ."""
