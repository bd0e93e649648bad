"""Records (what is stored), their life-cycle tables, indexes and invariants. Pure values, no behaviour of the wire."""
