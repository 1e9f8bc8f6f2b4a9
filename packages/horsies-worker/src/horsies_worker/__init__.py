"""The runtime that claims and executes horsies tasks."""
