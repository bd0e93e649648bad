"""Metric math (behaviour.md 2.5): expressions over time series, parsed, checked and computed.

Pure. `program.compile_program` takes the queries of a request or an alarm and says what is wrong with them;
`program.Run` computes those that are asked for from a `series.SeriesView`. The rest serves these two: `tokens`,
`parser` and `tree` (text to tree and back), `kinds` (scalar, time series, array), `evaluator` with `operators` and
`functions`, and `search` (what SEARCH finds).

What AWS leaves open, and what we do: `^` binds tighter than unary minus and to the right; STDDEV is that of the whole
population; MIN, MAX and STDDEV over an array look at the series that have a point at that moment (AVG counts a missing
one as 0, as documented); all metrics of one expression must have one period.
"""
