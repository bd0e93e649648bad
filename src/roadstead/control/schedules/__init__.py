"""When things are to happen: `at(…)`, `rate(…)` and `cron(…)` in time zones. Used by the API to check, too."""
