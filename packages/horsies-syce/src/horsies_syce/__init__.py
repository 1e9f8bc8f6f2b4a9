"""The terminal monitor of horsies."""
