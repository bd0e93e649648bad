"""Time series of metrics: data in, statistics out, and what follows from them by arithmetic alone.

Pure: no sockets, no clock. In come `metrics.Datum`s (from PutMetricData and from the agents' telemetry) and `now`;
out go statistics per period, listings, alarm verdicts with their reasons. `series.SeriesStore` holds the data.
"""
