"""Live migration: who says that a guest has arrived, and how long it had no network."""
