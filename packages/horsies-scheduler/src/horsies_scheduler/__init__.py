"""The service that enqueues recurring horsies tasks, exactly once."""
