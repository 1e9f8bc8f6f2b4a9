"""The command `horsies`."""
