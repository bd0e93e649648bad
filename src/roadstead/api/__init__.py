"""AWS operations: `operation(call, view) -> Reply(plan, output)`. Pure; the gateway runs them."""
