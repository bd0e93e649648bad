"""View, plan, store (indexed tables in memory), and the port of the journal that makes plans durable."""
