"""The tree of verbs. Each verb is a few lines: what it does is in the module of its noun."""

from __future__ import annotations

import os
import pathlib
import sys
from typing import Annotated, Any

import typer

from roadstead.app import settings
from roadstead.base import errors
from roadstead.cli import context, failures, output, simulate_options

EPILOG = (
    "Everything else is the AWS CLI:  roadstead aws ecs list-clusters\n\n"
    "Exit codes: 0 fine, 1 failed, 2 wrong usage, 3 not converged, 4 control plane not reachable."
)

app = typer.Typer(
    name="roadstead",
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Amazon ECS that runs anywhere: the same APIs, real containers, auto scaling that closes the whole loop.",
    epilog=EPILOG,
)

DataDir = Annotated[
    pathlib.Path | None,
    typer.Option("--data-dir", help="Data directory of the control plane.", envvar="ROADSTEAD_DATA_DIR"),
]
OwnDataDir = Annotated[
    # without the variable: it would outdo the option given before the verb
    pathlib.Path | None,
    typer.Option("--data-dir", help="The same, given behind the verb."),
]
Endpoint = Annotated[
    str | None, typer.Option("--endpoint", help="Control plane to talk to; else the one of the data directory.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON value instead of text.")]
Cluster = Annotated[str, typer.Option("--cluster", "-c", help="Cluster to look at.", envvar="ROADSTEAD_CLUSTER")]

Port = Annotated[int, typer.Option(min=0, max=65535, help="Port of the endpoint; 0 takes a free one.")]
Host = Annotated[str, typer.Option(help="Address to bind; others than loopback let other machines in.")]
Region = Annotated[str, typer.Option(help="Region that stands in ARNs and signatures.")]
AccountId = Annotated[str, typer.Option(help="Account id that stands in ARNs.")]
Auth = Annotated[str, typer.Option(help="sigv4: verify every signature; off: take every call.")]
Ephemeral = Annotated[bool, typer.Option("--ephemeral", help="State in memory only; POST /_roadstead/reset wipes it.")]
Runtime = Annotated[str, typer.Option(help="oci: real containers; simulated: stand-ins, no root needed.")]
ScaleIn = Annotated[
    int | None,
    typer.Option(min=1, help="Data points that target tracking's low alarm waits for; AWS's own: 15, or 30 of 20 s."),
]
SecretFile = Annotated[
    pathlib.Path | None,
    typer.Option(help="File with the bearer token that endpoints of custom resources are asked with."),
]
LogLevel = Annotated[str, typer.Option(help="debug, info, warning or error.")]


class Globals:
    """Options given before the verb; handed on in typer's context."""

    data_dir: pathlib.Path | None = None
    endpoint: str | None = None
    color: bool | None = None


@app.callback()
def main(
    ctx: typer.Context,
    data_dir: DataDir = None,
    endpoint: Endpoint = None,
    color: Annotated[bool | None, typer.Option("--color/--no-color", help="Colours, whatever the terminal.")] = None,
) -> None:
    ctx.obj = Globals()
    ctx.obj.data_dir, ctx.obj.endpoint, ctx.obj.color = data_dir, endpoint, color


def opened(ctx: typer.Context, as_json: bool = False, data_dir: pathlib.Path | None = None) -> context.Context:
    """The context of this invocation."""
    given: Globals = ctx.obj
    named = data_dir or given.data_dir
    # A directory that was named goes before AWS_ENDPOINT_URL, which may be another server's.
    endpoint = given.endpoint or (context.endpoint_of(named) if named is not None else None)
    return context.Context(named or context.default_data_dir(), endpoint, output.Output(as_json, given.color))


CHOICES = {
    "auth": ("sigv4", "off"),
    "runtime": ("oci", "simulated"),
    "log_level": ("debug", "info", "warning", "error"),
}
"""What options of `up` and `server` may be, by the names of their settings."""


def chosen(on: context.Context, **options: Any) -> settings.Settings:
    """The settings that the options of `up` or `server` ask for, each by its setting's name. Raises Failure where one
    can't be. `Settings.check` has the rest.
    """
    for name, known in CHOICES.items():
        if name in options and options[name] not in known:
            said = f"--{name.replace('_', '-')} can't be {options[name]!r}"
            raise failures.Failure(said, f"Use one of: {', '.join(known)}.", failures.USAGE)
    return settings.Settings(data_dir=on.data_dir, **options)


@app.command(rich_help_panel="Look")
def ps(
    ctx: typer.Context,
    service: Annotated[str | None, typer.Argument(help="Only the tasks of this service.")] = None,
    stopped: Annotated[bool, typer.Option("--all", "-a", help="Stopped tasks too (kept for an hour).")] = False,
    ids_only: Annotated[bool, typer.Option("--quiet", "-q", help="Ids only, one a line.")] = False,
    cluster: Cluster = "default",
    as_json: Json = False,
) -> None:
    """List tasks, worst first, with where they run, or why they wait or stopped."""
    from roadstead.cli import tasks

    tasks.show(opened(ctx, as_json), cluster, service, stopped, ids_only)


service_app = typer.Typer(no_args_is_help=True, help="Services: list them, look at one.")
app.add_typer(service_app, name="service", rich_help_panel="Look")


@service_app.command("ls")
def service_list(ctx: typer.Context, cluster: Cluster = "default", as_json: Json = False) -> None:
    """List services, worst first."""
    from roadstead.cli import services

    services.show_list(opened(ctx, as_json), cluster)


@service_app.command("status")
def service_status(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the service.")],
    cluster: Cluster = "default",
    as_json: Json = False,
) -> None:
    """Show counts, the metric against its target, scaling decisions with their causes, deployments."""
    from roadstead.cli import services

    services.show_status(opened(ctx, as_json), cluster, name)


explain_app = typer.Typer(no_args_is_help=True, help="Ask why: a task waits or stopped, a service did or didn't scale.")
app.add_typer(explain_app, name="explain", rich_help_panel="Look")


@explain_app.command("task")
def explain_task(
    ctx: typer.Context,
    task: Annotated[str, typer.Argument(help="Id of the task, or its first digits.")],
    cluster: Cluster = "default",
    as_json: Json = False,
) -> None:
    """Why is a task pending, where it is, or stopped?"""
    from roadstead.cli import explain

    explain.show_task(opened(ctx, as_json), cluster, task)


@explain_app.command("service")
def explain_service(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the service.")],
    since: Annotated[str, typer.Option(help="How far back to tell scaling decisions: 90s, 15m, 1h, 2d.")] = "1h",
    cluster: Cluster = "default",
    as_json: Json = False,
) -> None:
    """Why has a service the tasks it has, and why did it, or didn't it, scale?"""
    from roadstead.cli import explain

    explain.show_service(opened(ctx, as_json), cluster, name, explain.span(since))


@explain_app.command("target")
def explain_target(
    ctx: typer.Context,
    resource_id: Annotated[
        str, typer.Argument(help="ResourceId: service/CLUSTER/SERVICE, or a custom resource's URL.")
    ],
    since: Annotated[str, typer.Option(help="How far back to tell scaling decisions: 90s, 15m, 1h, 2d.")] = "1h",
    as_json: Json = False,
) -> None:
    """Why did a scalable target scale, or not; for custom resources, too."""
    from roadstead.cli import explain

    explain.show_target(opened(ctx, as_json), resource_id, explain.span(since))


@app.command(rich_help_panel="Look")
def logs(
    ctx: typer.Context,
    task: Annotated[str, typer.Argument(help="Id of the task, or its first digits; or the name of a service.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
    lines: Annotated[
        int, typer.Option("-n", "--lines", min=0, help="How many of the newest lines to begin with.")
    ] = 100,
    container: Annotated[str | None, typer.Option(help="Only this container.")] = None,
    grep: Annotated[str | None, typer.Option(help="Only lines that contain this text.")] = None,
    cluster: Cluster = "default",
    as_json: Json = False,
) -> None:
    """Show what the containers of a task, or of all tasks of a service, have written."""
    from roadstead.cli import logs as module

    module.show(opened(ctx, as_json), cluster, task, module.Wanted(follow, lines, container, grep))


@app.command(rich_help_panel="Run")
def up(
    ctx: typer.Context,
    port: Port = 4566,
    host: Host = "127.0.0.1",
    data_dir: OwnDataDir = None,
    region: Region = "us-east-1",
    account_id: AccountId = "123456789012",
    auth: Auth = "sigv4",
    ephemeral: Ephemeral = False,
    runtime: Runtime = "oci",
    cluster: Annotated[str, typer.Option(help="Cluster that the local instance joins; made when missing.")] = "default",
    scale_in_datapoints: ScaleIn = None,
    custom_resource_secret_file: SecretFile = None,
    log_level: LogLevel = "info",
    as_json: Json = False,
) -> None:
    """Start a control plane and one container instance on this machine, until Ctrl-C; containers outlive it."""
    from roadstead.cli import server as module

    on = opened(ctx, as_json, data_dir)
    module.up(
        on,
        chosen(
            on,
            port=port,
            host=host,
            region=region,
            account_id=account_id,
            auth=auth,
            ephemeral=ephemeral,
            scale_in_datapoints=scale_in_datapoints,
            custom_resource_secret_file=custom_resource_secret_file,
            log_level=log_level,
            runtime=runtime,
            cluster=cluster,
        ),
    )


@app.command(rich_help_panel="Run")
def server(
    ctx: typer.Context,
    port: Port = 4566,
    host: Host = "127.0.0.1",
    data_dir: OwnDataDir = None,
    region: Region = "us-east-1",
    account_id: AccountId = "123456789012",
    auth: Auth = "sigv4",
    ephemeral: Ephemeral = False,
    scale_in_datapoints: ScaleIn = None,
    custom_resource_secret_file: SecretFile = None,
    log_level: LogLevel = "info",
    as_json: Json = False,
) -> None:
    """Start the control plane alone; machines join it with `roadstead agent`."""
    from roadstead.cli import server as module

    on = opened(ctx, as_json, data_dir)
    module.serve(
        on,
        chosen(
            on,
            port=port,
            host=host,
            region=region,
            account_id=account_id,
            auth=auth,
            ephemeral=ephemeral,
            scale_in_datapoints=scale_in_datapoints,
            custom_resource_secret_file=custom_resource_secret_file,
            log_level=log_level,
        ),
    )


@app.command(rich_help_panel="Run")
def agent(
    ctx: typer.Context,
    server: Annotated[str, typer.Option("--server", help="URL of the control plane: http://127.0.0.1:4566.")],
    cluster: Annotated[str, typer.Option(help="Cluster to join.")] = "default",
    data_dir: OwnDataDir = None,
    attribute: Annotated[list[str] | None, typer.Option(help="NAME=value of the instance; may be repeated.")] = None,
    zone: Annotated[str, typer.Option(help="Availability zone to say; else the region's a.")] = "",
    runtime: Runtime = "oci",
) -> None:
    """Join this machine to a control plane as a container instance; keys from the environment (`roadstead env`)."""
    from roadstead.cli import images
    from roadstead.cli import server as module

    module.agent(opened(ctx, False, data_dir), server, cluster, images.variables(attribute), runtime, zone)


@app.command(rich_help_panel="Run")
def down(
    ctx: typer.Context,
    remove: Annotated[
        bool, typer.Option("--remove", help="End the containers too, and remove what they left.")
    ] = False,
    data_dir: OwnDataDir = None,
    as_json: Json = False,
) -> None:
    """Stop the server of the data directory; containers go on unless --remove is given."""
    from roadstead.cli import server as module

    module.down(opened(ctx, as_json, data_dir), remove)


@app.command(rich_help_panel="Look")
def status(ctx: typer.Context, as_json: Json = False) -> None:
    """Is it up, and is all well: clusters, instances, alarms."""
    from roadstead.cli import server as module

    module.status(opened(ctx, as_json))


@app.command(rich_help_panel="Look")
def doctor(ctx: typer.Context, as_json: Json = False) -> None:
    """Say what this host can and can't do, and what to install."""
    from roadstead.cli import server as module

    module.doctor(opened(ctx, as_json))


@app.command(rich_help_panel="Look")
def version(ctx: typer.Context, as_json: Json = False) -> None:
    """Print the version."""
    import importlib.metadata

    out = opened(ctx, as_json).out
    number = importlib.metadata.version("roadstead")
    if as_json:
        out.json({"version": number})
    else:
        out.line(f"roadstead {number}")


image_app = typer.Typer(no_args_is_help=True, help="Images that tasks can run: pack, load, list, remove.")
app.add_typer(image_app, name="image", rich_help_panel="Run")


@image_app.command("load")
def image_load(
    ctx: typer.Context,
    archive: Annotated[
        pathlib.Path, typer.Argument(help="A docker or OCI archive (docker save, skopeo copy, buildah).")
    ],
    as_json: Json = False,
) -> None:
    """Load all images of an archive."""
    from roadstead.cli import images

    images.load(opened(ctx, as_json), archive)


@image_app.command("pack")
def image_pack(
    ctx: typer.Context,
    source: Annotated[pathlib.Path, typer.Argument(help="A directory (it becomes the root) or one static binary.")],
    tag: Annotated[str, typer.Option("--tag", "-t", help="Name of the image, as task definitions will use it.")],
    cmd: Annotated[list[str] | None, typer.Option(help="Command, in words as a shell splits them.")] = None,
    entrypoint: Annotated[list[str] | None, typer.Option(help="Entry point, in words as a shell splits them.")] = None,
    env: Annotated[list[str] | None, typer.Option(help="NAME=value; may be repeated.")] = None,
    port: Annotated[list[int] | None, typer.Option(help="A port that it listens on; may be repeated.")] = None,
    user: Annotated[str, typer.Option(help="uid, uid:gid or names from the image's /etc/passwd.")] = "",
    workdir: Annotated[str, typer.Option(help="Working directory.")] = "",
    as_json: Json = False,
) -> None:
    """Make an OCI image of a directory or a static binary. The same input gives the same digest."""
    from roadstead.cli import images

    wanted = images.Packing(
        source=source,
        tag=tag,
        command=images.words(cmd),
        entry_point=images.words(entrypoint),
        environment=images.variables(env),
        ports=tuple(port or ()),
        user=user,
        working_directory=workdir,
    )
    images.pack(opened(ctx, as_json), wanted)


@image_app.command("list")
def image_list(ctx: typer.Context, as_json: Json = False) -> None:
    """List the images that are here."""
    from roadstead.cli import images

    images.show_list(opened(ctx, as_json))


@image_app.command("remove")
def image_remove(
    ctx: typer.Context,
    names: Annotated[list[str], typer.Argument(help="Names of images.")],
    as_json: Json = False,
) -> None:
    """Remove images; refused while a container uses one."""
    from roadstead.cli import images

    images.remove(opened(ctx, as_json), names)


@app.command(rich_help_panel="Run")
def demo(ctx: typer.Context) -> None:
    """Watch a service of real containers scale out under load and in again: about five minutes, nothing is left."""
    from roadstead.cli.demo import run as module

    module.run(opened(ctx).out)


@app.command(rich_help_panel="Look")
def simulate(
    ctx: typer.Context,
    scenario: simulate_options.Scenario = None,
    trace: simulate_options.Trace = None,
    from_metric: simulate_options.FromMetric = None,
    from_service: simulate_options.FromService = None,
    since: simulate_options.Since = "7d",
    save_trace: simulate_options.SaveTrace = None,
    changes: simulate_options.Set = None,
    policy: simulate_options.Policy = None,
    fixed: simulate_options.Fixed = None,
    sweep: simulate_options.Sweep = None,
    recommend: simulate_options.Recommend = False,
    seed: simulate_options.Seed = None,
    html: simulate_options.Html = None,
    json_file: simulate_options.JsonFile = None,
    form: simulate_options.Format = "text",
    jobs: simulate_options.Jobs = None,
    cluster: Cluster = "default",
) -> None:
    """Try scaling policies on traffic before trusting them; without --policy and --fixed those of the scenario."""
    from roadstead.cli import simulate as module

    wanted = module.Wanted(
        scenario=scenario,
        trace=trace,
        from_metric=from_metric,
        from_service=from_service,
        since=since,
        save_trace=save_trace,
        changes=tuple(changes or ()),
        cluster=cluster,
        policies=tuple(policy or ()),
        fixed=tuple(fixed or ()),
        seed=seed,
        html=html,
        json=json_file,
        format=form,
        sweep=tuple(sweep or ()),
        recommend=recommend,
        jobs=jobs,
    )
    module.show(opened(ctx), wanted)


@app.command(rich_help_panel="Run")
def env(ctx: typer.Context, as_json: Json = False) -> None:
    """Print the environment variables that point any AWS client here:  eval "$(roadstead env)"."""
    on = opened(ctx, as_json)
    on.endpoint = on.endpoint or context.endpoint_of(on.data_dir)
    access = on.client.access
    values = {
        "AWS_ENDPOINT_URL": access.endpoint,
        "AWS_REGION": access.region,
        "AWS_DEFAULT_REGION": access.region,
        "AWS_ACCESS_KEY_ID": access.access_key_id,
        "AWS_SECRET_ACCESS_KEY": access.secret_access_key,
    }
    if as_json:
        on.out.json(values)
        return
    for name, value in values.items():
        sys.stdout.write(f"export {name}={value}\n")
    sys.stdout.write("unset AWS_SESSION_TOKEN AWS_PROFILE\n")


@app.command(
    rich_help_panel="Run",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def aws(ctx: typer.Context) -> None:
    """Run the AWS CLI against this control plane:  roadstead aws ecs list-tasks."""
    import shutil

    access = opened(ctx).client.access
    beside = pathlib.Path(sys.executable).with_name("aws")
    program = str(beside) if beside.is_file() else shutil.which("aws")
    if program is None:
        raise failures.Failure(
            "the AWS CLI is not installed here", "Install it: pip install awscli   (or your system's)"
        )
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": access.endpoint,
        "AWS_REGION": access.region,
        "AWS_DEFAULT_REGION": access.region,
        "AWS_ACCESS_KEY_ID": access.access_key_id,
        "AWS_SECRET_ACCESS_KEY": access.secret_access_key,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    environment.pop("AWS_SESSION_TOKEN", None)
    environment.pop("AWS_PROFILE", None)
    os.execve(program, [program, *ctx.args], environment)


def run() -> None:
    """The program `roadstead`."""
    try:
        app(standalone_mode=True)
    except failures.Failure as failure:
        sys.stderr.write(f"roadstead: {failure.what}\n")
        if failure.next_step:
            sys.stderr.write(f"{failure.next_step}\n")
        raise SystemExit(failure.code) from None
    except errors.HostProblem as problem:
        sys.stderr.write(f"roadstead: {problem.what}: {problem.why}\n{problem.next_step}\n")
        raise SystemExit(failures.FAILED) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
