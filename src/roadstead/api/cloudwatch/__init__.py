"""CloudWatch's operations: metric data in and out, alarms and their history (behaviour.md 2.1-2.6).

`operations.OPERATIONS` is the table of all of them. Evaluating alarms is `control.alarms`'s, arithmetic `signals`'s.
"""
