"""Decisions of the control plane. They know records, not requests."""
