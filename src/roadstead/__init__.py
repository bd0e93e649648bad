"""Roadstead: the container service that Amazon ECS users know, run anywhere."""
