"""`image load|pack|list|remove`: the content store of this machine's agent, with or without the agent running."""

from __future__ import annotations

import contextlib
import pathlib
import shlex
import time
from collections.abc import Iterator, Sequence

import msgspec

from roadstead.agent.images import names as image_names
from roadstead.agent.images import records, store
from roadstead.cli import context, failures, output

AGENT_DIRECTORY = "agent"
"""Where below the data directory the local agent keeps its things (see `app.agent`)."""


class Packing(msgspec.Struct, frozen=True, kw_only=True):
    """What `image pack` was asked for."""

    source: pathlib.Path
    tag: str
    command: tuple[str, ...]
    entry_point: tuple[str, ...]
    environment: dict[str, str]
    ports: tuple[int, ...]
    user: str
    working_directory: str


@contextlib.contextmanager
def opened(on: context.Context) -> Iterator[store.ImageStore]:
    """The content store; its problems become failures with their own words."""
    try:
        yield store.ImageStore(on.data_dir / AGENT_DIRECTORY)
    except store.ImageProblem as problem:
        raise failures.Failure(str(problem)) from None
    except PermissionError as problem:
        raise failures.Failure(
            f"{problem.filename} can't be used by this user", "Run it as the user who runs the agent: sudo roadstead …"
        ) from None


def words(given: Sequence[str] | None) -> tuple[str, ...]:
    """The words of an option that may be repeated, each split as a shell would. Raises Failure."""
    try:
        return tuple(word for text in given or () for word in shlex.split(text))
    except ValueError as problem:
        raise failures.Failure(f"{' '.join(given or ())}: {problem}", "Close the quote.", failures.USAGE) from None


def variables(given: Sequence[str] | None) -> dict[str, str]:
    """NAME=value pairs. Raises Failure where one isn't."""
    found = {}
    for text in given or ():
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise failures.Failure(
                f"--env {text} is not NAME=value", "Say for example --env COLOR=blue.", failures.USAGE
            )
        found[name] = value
    return found


def load(on: context.Context, archive: pathlib.Path) -> None:
    with opened(on) as images:
        _tell(on, "loaded", images.load_archive(archive))


def pack(on: context.Context, wanted: Packing) -> None:
    with opened(on) as images:
        record = images.pack(
            wanted.source,
            wanted.tag,
            cmd=wanted.command,
            entrypoint=wanted.entry_point,
            env=wanted.environment,
            ports=wanted.ports,
            user=wanted.user,
            workdir=wanted.working_directory,
        )
        _tell(on, "packed", [record])


def remove(on: context.Context, references: Sequence[str]) -> None:
    with opened(on) as images:
        _tell(on, "removed", [record for reference in references for record in images.remove(reference)])


def show_list(on: context.Context) -> None:
    with opened(on) as images:
        found = images.list()
        held = {record.reference: images.holders(record) for record in found}
    if on.out.as_json:
        on.out.json([{**msgspec.to_builtins(record), "containers": held[record.reference]} for record in found])
        return
    if not found:
        on.out.line("no images yet")
        on.out.remark("roadstead image pack DIR --tag NAME   ·   roadstead image load ARCHIVE")
        return
    table = on.out.table(
        *("IMAGE", "DIGEST", "SIZE", "FROM", "CONTAINERS", "AGE"),
        right=("SIZE", "CONTAINERS", "AGE"),
        drop=("FROM", "CONTAINERS", "AGE", "SIZE"),
    )
    for record in found:
        table.add_row(
            familiar(record),
            record.digest[:19],
            size(record.size_bytes),
            record.source,
            str(len(held[record.reference])),
            output.age(time.time() - record.created_at),
        )
    on.out.show(table)


def familiar(record: records.ImageRecord) -> str:
    """The name as people write it: `busybox:latest`."""
    return image_names.parse(record.reference).familiar


def size(count_bytes: int) -> str:
    """`1.9 MiB`."""
    if count_bytes < 1024 * 1024:
        return f"{count_bytes / 1024:.0f} KiB"
    return f"{count_bytes / 1024 / 1024:.1f} MiB"


def _tell(on: context.Context, done: str, found: Sequence[records.ImageRecord]) -> None:
    if on.out.as_json:
        on.out.json(msgspec.to_builtins(list(found)))
        return
    for record in found:
        on.out.line(f"{done} {familiar(record)}  {record.digest}  {size(record.size_bytes)}")
