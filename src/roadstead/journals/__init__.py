"""Journals: they make commits durable (the port is `state.journal`). `sqlite` is the default."""
