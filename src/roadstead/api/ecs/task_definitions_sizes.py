"""Task-level `cpu` and `memory`: the forms that ECS takes, and the sizes that Fargate has (behaviour.md 5.15)."""

from __future__ import annotations

import decimal
import re

from roadstead.api.ecs import common
from roadstead.model import task_definitions

CPU_UNITS_MIN = 128
CPU_UNITS_MAX = 196_608
"""Task-level CPU units outside Fargate (ECS-API RegisterTaskDefinition)."""
MEMORY_MIB_MAX = 1 << 31
CONTAINER_MEMORY_MIB_MIN = 6
"""Docker's smallest hard limit, MiB (ECS-API ContainerDefinition memory)."""
NUMBER_DIGITS_MAX = 12
"""The longest number that is read; anything longer is out of every range."""

TROUBLESHOOTING = "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
_SIZE = re.compile(r"\s*(\d*\.?\d+)\s*([A-Za-z]*)\s*")


def _range(low: int, high: int, step: int) -> tuple[int, ...]:
    return tuple(range(low, high + step, step))


FARGATE_SIZES: dict[int, tuple[int, ...]] = {
    256: (512, 1024, 2048),
    512: _range(1024, 4096, 1024),
    1024: _range(2048, 8192, 1024),
    2048: _range(4096, 16_384, 1024),
    4096: _range(8192, 30_720, 1024),
    8192: _range(16_384, 61_440, 4096),
    16_384: _range(32_768, 122_880, 8192),
}
"""CPU units → MiB that Fargate has with them."""


def cpu_units(text: str | None) -> int | None:
    """A task-level `cpu` parameter (`256`, `.25 vCPU`) in CPU units; None where absent. Raises ClientException."""
    if text is None:
        return None
    units = _whole(text, {"": 1, "vcpu": 1024})
    if units is None or not CPU_UNITS_MIN <= units <= CPU_UNITS_MAX:
        raise common.client_error(f"Invalid 'cpu' setting for task. {TROUBLESHOOTING}")
    return units


def memory_mib(text: str | None) -> int | None:
    """A task-level `memory` parameter (`512`, `0.5 GB`) in MiB; None where absent. Raises ClientException."""
    if text is None:
        return None
    mib = _whole(text, {"": 1, "gb": 1024})
    if mib is None or not CONTAINER_MEMORY_MIB_MIN <= mib <= MEMORY_MIB_MAX:
        raise common.client_error(f"Invalid 'memory' setting for task. {TROUBLESHOOTING}")
    return mib


def _whole(text: str, units: dict[str, int]) -> int | None:
    """`text` as a whole number of the smallest unit; None where it is none."""
    found = _SIZE.fullmatch(text)
    if found is None or len(found[1]) > NUMBER_DIGITS_MAX:
        return None
    factor = units.get(found[2].lower())
    if factor is None or (factor == 1 and "." in found[1]):
        return None
    value = decimal.Decimal(found[1]) * factor
    return int(value) if value == int(value) else None


def is_fargate_size(cpu: int | None, memory: int | None) -> bool:
    """Whether Fargate has tasks of that many CPU units and MiB."""
    return cpu is not None and memory is not None and memory in FARGATE_SIZES.get(cpu, ())


def check_fargate(definition: task_definitions.TaskDefinition) -> None:
    """Refuses a definition that requires FARGATE but can't run there. Raises ClientException."""
    if definition.network_mode != "awsvpc":
        raise common.client_error("Fargate only supports network mode ‘awsvpc’.")
    for member in ("cpu", "memory"):
        if getattr(definition, member) is None:
            raise common.client_error(f"Fargate requires that '{member}' be defined at the task level.")
    if not is_fargate_size(int(definition.cpu or 0), int(definition.memory or 0)):
        raise common.client_error("No Fargate configuration exists for given values.")
    problem = fargate_problem(definition)
    if problem is not None:
        raise common.client_error(problem)


def fargate_problem(definition: task_definitions.TaskDefinition) -> str | None:
    """What else of a definition Fargate does not have; None where it could run there."""
    if definition.placement_constraints:
        return "Placement constraints are not supported for Fargate tasks."
    for volume in definition.volumes:
        if volume.host is not None and volume.host.source_path:
            return "Fargate compatible task definitions do not support sourcePath"
    for container in definition.container_definitions:
        if container.privileged:
            return "Fargate compatible task definitions do not support privileged containers"
        for timeout, member in ((container.start_timeout, "startTimeout"), (container.stop_timeout, "stopTimeout")):
            if timeout is not None and not 2 <= timeout <= 120:
                return f"Fargate: {member} of container '{container.name}' must be between 2 and 120 seconds."
        parameters = container.linux_parameters
        if parameters is not None and (parameters.shared_memory_size is not None or parameters.tmpfs):
            return "Fargate compatible task definitions do not support sharedMemorySize and tmpfs"
    return None


def compatibilities(definition: task_definitions.TaskDefinition) -> list[str]:
    """The launch types that the definition would run with, as DescribeTaskDefinition shows them."""
    if definition.network_mode != "awsvpc":
        return ["EXTERNAL", "EC2"]
    if definition.cpu is None or definition.memory is None:
        return ["EC2"]
    fits = is_fargate_size(int(definition.cpu), int(definition.memory)) and fargate_problem(definition) is None
    return ["EC2", "FARGATE"] if fits else ["EC2"]
