"""What every room may use: clock port, ids, errors, ARNs, pagination. No domain words."""
