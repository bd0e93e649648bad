"""Why is it so? Answers about tasks and services, made from a view: counts first, words last (design.md, law 7).

`task.explain` and `service.explain` give a `reasons.Answer`; the gateway serves it as JSON, the CLI draws it as a tree.
"""
