"""Connections, and what runs on them: pools, the listener, the two drivers of operations, migrations."""
