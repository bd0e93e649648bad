"""Application Auto Scaling's operations. `operations.operations(...)` gives the table."""
