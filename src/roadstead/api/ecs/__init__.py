"""Amazon ECS's operations. Each module offers its table `OPERATIONS`."""
