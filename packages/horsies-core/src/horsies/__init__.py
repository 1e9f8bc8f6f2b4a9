"""The light part of horsies: define, send and await background tasks on PostgreSQL."""
