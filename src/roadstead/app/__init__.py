"""Composition roots: `server` (control plane), `agent`, `all_in_one` (both); `settings` says how they are to be."""
