"""docs/operations.md, from registry and models: `python -m roadstead.api.reference > docs/operations.md`."""

from __future__ import annotations

from collections.abc import Iterator

from roadstead.api import operation, registry
from roadstead.wire import acceptance, services

_TITLES = {
    "ecs": "Amazon ECS",
    "application-autoscaling": "Application Auto Scaling",
    "cloudwatch": "Amazon CloudWatch",
    "sts": "AWS STS",
    "autoscaling": "Amazon EC2 Auto Scaling",
}
_HEAD = """# Operations

What Roadstead serves of AWS's APIs. Made from the code by `make reference`; don't edit it.

A parameter that is not listed as accepted is refused with an error that names it, never ignored. An operation that is
not listed is refused with an error that names it. A path such as `overrides.cpu` means the member `cpu` of `overrides`;
what is listed without a further path is accepted whole.
"""


def text() -> str:
    """The page."""
    known = services.Services()
    table = registry.all_operations()
    parts = [_HEAD, *_overview(known, table)]
    for served in known.served:
        ours = sorted((one for one in table if one.service == served.name), key=lambda one: one.name)
        if ours:
            parts.append(f"## {_TITLES[served.name]}\n")
            parts += [_entry(known, one) for one in ours]
            parts.append(_missing(known, served.name, ours))
    return "\n".join(parts)


def _overview(known: services.Services, table: tuple[operation.Operation, ...]) -> Iterator[str]:
    yield "| service | served | of |"
    yield "| --- | --- | --- |"
    for served in known.served:
        count = sum(1 for one in table if one.service == served.name)
        if count:
            yield f"| {_TITLES[served.name]} | {count} | {len(known.service(served.name).operations)} |"
    yield ""


def _entry(known: services.Services, one: operation.Operation) -> str:
    accepted, refused = split(acceptance.member_paths(known, one.service, one.name), one.accepts)
    lines = [f"### {one.name}\n"]
    if one.note:
        lines.append(f"{one.note}\n")
    lines.append(f"- Accepted: {_names(accepted)}")
    if refused:
        lines.append(f"- Refused: {_names(refused)}")
    return "\n".join(lines) + "\n"


def _missing(known: services.Services, service: str, ours: list[operation.Operation]) -> str:
    names = sorted(set(known.service(service).operations) - {one.name for one in ours})
    return f"### Not served\n\n{', '.join(names)}.\n" if names else ""


def _names(paths: list[str]) -> str:
    return ", ".join(f"`{path}`" for path in paths) if paths else "nothing"


def split(paths: tuple[str, ...], accepts: frozenset[str]) -> tuple[list[str], list[str]]:
    """An operation's paths, those accepted and those refused: each as far up as it holds for all below it."""
    accepted = [path for path in paths if path in accepts]
    whole = {path for path in accepts if not any(other.startswith(f"{path}.") for other in accepts)}
    partly = {prefix for path in accepts for prefix in _prefixes(path)}
    refused: list[str] = []
    for path in paths:
        above = [*_prefixes(path), path]
        if any(name in whole or name in refused for name in above) or path in partly:
            continue
        refused.append(path)
    return accepted, refused


def _prefixes(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


if __name__ == "__main__":
    print(text(), end="")
