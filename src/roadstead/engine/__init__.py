"""Runs decisions: `queue` and `stepper` are pure, `live` is their asyncio driver, `committer` makes them durable."""
