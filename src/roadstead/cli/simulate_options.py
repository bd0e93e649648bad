"""The options of `simulate`: what each is called and says of itself. No work is done here."""

from __future__ import annotations

import pathlib
from typing import Annotated

import typer

Scenario = Annotated[
    pathlib.Path | None,
    typer.Argument(
        help="A scenario: traffic, service, prices, objective (YAML). Not needed with --from-service, or where --set "
        "says what one would."
    ),
]
Trace = Annotated[
    pathlib.Path | None,
    typer.Option(
        help="Traffic from this recording instead: CSV, Parquet, or what `aws cloudwatch get-metric-data` printed.",
        rich_help_panel="Traffic",
    ),
]
FromMetric = Annotated[
    str | None,
    typer.Option(
        metavar="NAMESPACE/METRIC[Dimension=value,…][:Statistic]",
        help="Traffic from a metric that the running server has recorded; a Sum (the default) is divided by its "
        "period. Of AWS/ECS/CPUUtilization[ClusterName=…,ServiceName=…] requests are worked out.",
        rich_help_panel="Traffic",
    ),
]
FromService = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Traffic from the CPU that this service of the running server has burned, tried on with its own size, "
        "bounds and policies.",
        rich_help_panel="Traffic",
    ),
]
Since = Annotated[
    str,
    typer.Option(help="How far back --from-metric and --from-service look: 6h, 7d, 4w.", rich_help_panel="Traffic"),
]
SaveTrace = Annotated[
    pathlib.Path | None,
    typer.Option(
        help="Write what --from-metric or --from-service found as CSV: for --trace, to get the same again.",
        rich_help_panel="Traffic",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Another value for a field of the scenario, as in --set objective.minutes=10 or "
        "--set service.cpu_seconds_per_request=0.02; may be repeated.",
    ),
]
Policy = Annotated[
    list[pathlib.Path] | None,
    typer.Option(
        help="A policy to try, as the AWS CLI takes or prints it (JSON); may be repeated.", rich_help_panel="Try"
    ),
]
Fixed = Annotated[
    list[int] | None,
    typer.Option(min=1, max=5000, help="A fixed count to compare with; may be repeated.", rich_help_panel="Try"),
]
Sweep = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PARAMETER=VALUES",
        help="Try every --policy (else target tracking on CPU) with all of these values, as in "
        "--sweep TargetValue=40:90:5 --sweep ScaleInCooldown=60,300,900; several make all combinations.",
        rich_help_panel="Try",
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", "-j", min=1, help="Processes side by side; else one a core. The result is the same."),
]
Recommend = Annotated[
    bool,
    typer.Option(
        "--recommend",
        help="Look for the cheapest policy within the objective, and print it to apply.",
        rich_help_panel="Try",
    ),
]
Seed = Annotated[int | None, typer.Option(help="Chance follows from it; else the scenario's.")]
Html = Annotated[
    pathlib.Path | None,
    typer.Option(help="Write the report here, one self-contained page.", rich_help_panel="Results"),
]
JsonFile = Annotated[
    pathlib.Path | None,
    typer.Option("--json", help="Write the whole result here; - prints the totals.", rich_help_panel="Results"),
]
Format = Annotated[str, typer.Option("--format", help="text, or md for pull requests.", rich_help_panel="Results")]
