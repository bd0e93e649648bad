"""Many candidates of one: a policy with each combination of some parameters' values.

    TargetValue: 40:90:5                 from 40 to 90, each 5
    ScaleInCooldown: [60, 300, 900]      these
    HighResolution: [false, true]

A parameter changes the JSON of a policy as a user would, before it is read: what the production API refuses of it, it
refuses here, too.
"""

from __future__ import annotations

import copy
import itertools
import math
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from roadstead.lab import policies, problems, scenario

Value = float | int | bool
HIGH_RESOLUTION = "HighResolution"
"""The ending of a predefined metric of 20 s."""
BASE_NAME = "cpu"
BASE = policies.cpu_tracking(60.0, out_seconds=60)
"""What is swept where no policy is named."""


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """What can be swept: `put` sets it in a policy set (policies.as_set), and says whether there is such a thing."""

    label: str
    """In a candidate's name, before the value."""
    kind: type
    where: str
    put: Callable[[dict[str, Any], Any], bool]


def _parts(given: Mapping[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    for policy in given.get("Policies", ()):
        if isinstance(policy, dict) and isinstance(policy.get(f"{kind}PolicyConfiguration"), dict):
            yield policy[f"{kind}PolicyConfiguration"]


def _in_policies(kind: str, field: str, only_first: bool = False) -> Callable[[dict[str, Any], Any], bool]:
    def put(given: dict[str, Any], value: Any) -> bool:
        found = list(itertools.islice(_parts(given, kind), 1 if only_first else None))
        for one in found:
            one[field] = value
        return bool(found)

    return put


def _in_alarm(field: str) -> Callable[[dict[str, Any], Any], bool]:
    def put(given: dict[str, Any], value: Any) -> bool:
        found = [one for one in given.get("Alarms", ()) if isinstance(one, dict)][:1]
        for one in found:
            one[field] = value
        return bool(found)

    return put


def _in_set(field: str) -> Callable[[dict[str, Any], Any], bool]:
    def put(given: dict[str, Any], value: Any) -> bool:
        given[field] = value
        return True

    return put


def _put_resolution(given: dict[str, Any], is_high: Any) -> bool:
    found = False
    for one in _parts(given, "TargetTrackingScaling"):
        metric = one.get("PredefinedMetricSpecification")
        if not isinstance(metric, dict):
            continue
        kind = str(metric.get("PredefinedMetricType", ""))
        if kind.startswith("ECSServiceAverage"):
            kind = kind.removesuffix(HIGH_RESOLUTION) + (HIGH_RESOLUTION if is_high else "")
            one["PredefinedMetricSpecification"] = {**metric, "PredefinedMetricType": kind}
            found = True
    return found


def _put_adjustment(given: dict[str, Any], value: Any) -> bool:
    """The first step's; the others keep their proportion to it."""
    for one in itertools.islice(_parts(given, "StepScaling"), 1):
        steps: list[dict[str, Any]] = one.get("StepAdjustments") or []
        first = steps[0].get("ScalingAdjustment") if steps else None
        if not isinstance(first, int) or not first:
            return False
        for step in steps:
            scaled = step["ScalingAdjustment"] * value / first
            step["ScalingAdjustment"] = int(math.copysign(math.floor(abs(scaled) + 0.5), scaled))
        return True
    return False


_TRACKING = "target tracking policy"
_STEP = "step scaling policy"
PARAMETERS: Mapping[str, Parameter] = {
    "TargetValue": Parameter(
        label="target", kind=float, where=_TRACKING, put=_in_policies("TargetTrackingScaling", "TargetValue", True)
    ),
    "ScaleOutCooldown": Parameter(
        label="out", kind=int, where=_TRACKING, put=_in_policies("TargetTrackingScaling", "ScaleOutCooldown")
    ),
    "ScaleInCooldown": Parameter(
        label="in", kind=int, where=_TRACKING, put=_in_policies("TargetTrackingScaling", "ScaleInCooldown")
    ),
    "DisableScaleIn": Parameter(
        label="disablein", kind=bool, where=_TRACKING, put=_in_policies("TargetTrackingScaling", "DisableScaleIn")
    ),
    HIGH_RESOLUTION: Parameter(label="", kind=bool, where=f"{_TRACKING} on CPU or memory", put=_put_resolution),
    "MinCapacity": Parameter(label="min", kind=int, where="", put=_in_set("MinCapacity")),
    "MaxCapacity": Parameter(label="max", kind=int, where="", put=_in_set("MaxCapacity")),
    "ScalingAdjustment": Parameter(label="step", kind=int, where=_STEP, put=_put_adjustment),
    "MinAdjustmentMagnitude": Parameter(
        label="least", kind=int, where=_STEP, put=_in_policies("StepScaling", "MinAdjustmentMagnitude")
    ),
    "Cooldown": Parameter(label="cooldown", kind=int, where=_STEP, put=_in_policies("StepScaling", "Cooldown")),
    "Threshold": Parameter(label="over", kind=float, where="alarm", put=_in_alarm("Threshold")),
    "Period": Parameter(label="period", kind=int, where="alarm", put=_in_alarm("Period")),
    "EvaluationPeriods": Parameter(label="periods", kind=int, where="alarm", put=_in_alarm("EvaluationPeriods")),
}


# ---------------------------------------------------------------------------------------------- values


def values(name: str, given: object) -> tuple[Value, ...]:
    """What a parameter is given, one after the other: a list, `FROM:TO:STEP`, or one value. Raises problems.Invalid."""
    if name not in PARAMETERS:
        raise problems.Invalid(f"there is no such parameter; there are {', '.join(PARAMETERS)}", field=f"sweep.{name}")
    kind = PARAMETERS[name].kind
    try:
        if isinstance(given, str) and ":" in given:
            return _range(given, kind)
        listed = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
        found = tuple(_value(one, kind) for one in listed)
    except ValueError as problem:
        raise problems.Invalid(str(problem), field=f"sweep.{name}") from None
    if not found or len(found) > policies.CANDIDATES_MAX or len(set(found)) < len(found):
        raise problems.Invalid(
            f"from one to {policies.CANDIDATES_MAX} values are needed, each once", field=f"sweep.{name}"
        )
    return found


def _value(given: object, kind: type) -> Value:
    if kind is bool:
        if isinstance(given, bool):
            return given
        raise ValueError(f"{given!r} is neither true nor false")
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        raise ValueError(f"{given!r} is no number")
    if kind is int:
        if given != int(given):
            raise ValueError(f"{given!r} is no whole number")
        return int(given)
    return float(given)


def _range(text: str, kind: type) -> tuple[Value, ...]:
    try:
        low, high, step = (float(one) for one in text.split(":"))
    except ValueError:
        raise ValueError(f"{text!r} is no range: say FROM:TO:STEP, as 40:90:5") from None
    if kind is bool or not step > 0 or not low <= high or not math.isfinite(high - low):
        raise ValueError(f"{text!r} is no range: say FROM:TO:STEP, as 40:90:5")
    count = math.floor((high - low) / step + 1e-9) + 1
    if count > policies.CANDIDATES_MAX:
        raise ValueError(f"{text!r} is more than {policies.CANDIDATES_MAX} values")
    return tuple(_value(round(low + place * step, 9), kind) for place in range(count))


# ---------------------------------------------------------------------------------------------- candidates


def candidates(
    given: Any, name: str, parameters: Mapping[str, tuple[Value, ...]], file: str = ""
) -> list[policies.Candidate]:
    """A policy (JSON, as policies.parse takes it) with every combination of values; where the last parameter changes
    fastest. Combinations whose MinCapacity is over their MaxCapacity are left out. Raises problems.Invalid."""
    count = math.prod(len(one) for one in parameters.values())
    if count > policies.CANDIDATES_MAX:
        raise problems.Invalid(f"these are {count:,} combinations: {policies.CANDIDATES_MAX} can be", field="sweep")
    try:
        base = policies.as_set(given)
    except ValueError as problem:
        raise problems.Invalid(str(problem), file=file or name) from None
    own = str(base.get("Name", name))
    found = []
    for combination in itertools.product(*parameters.values()):
        made = copy.deepcopy(base)
        words = [own]
        for field, value in zip(parameters, combination, strict=True):
            parameter = PARAMETERS[field]
            if not parameter.put(made, value):
                raise problems.Invalid(f"{own} has no {parameter.where}", field=f"sweep.{field}")
            words.append(_word(field, value))
        low, high = made.get("MinCapacity"), made.get("MaxCapacity")
        if isinstance(low, int) and isinstance(high, int) and low > high:
            continue
        one = policies.parse({**made, "Name": "-".join(words)}, own, file)
        found.append(msgspec.structs.replace(one, is_named=False))
    return found


def beside(
    files: Sequence[str | pathlib.Path], parameters: Mapping[str, tuple[Value, ...]]
) -> list[policies.Candidate]:
    """Policies as their files have them, and swept; target tracking on CPU where none is named. Raises
    problems.Invalid."""
    if not files:
        return candidates(BASE, BASE_NAME, parameters)
    paths = [pathlib.Path(one) for one in files]
    swept = [one for path in paths for one in candidates(policies.read(path), path.stem, parameters, str(path))]
    return [*map(policies.load, paths), *swept]


def _word(field: str, value: Value) -> str:
    if field == HIGH_RESOLUTION:
        return "20s" if value else "60s"
    shown = str(value).lower() if isinstance(value, bool) else f"{value:g}"
    return f"{PARAMETERS[field].label}{shown}"


def of_scenario(subject: scenario.Scenario) -> list[policies.Candidate]:
    """What the scenario's own sweeps make. Raises problems.Invalid."""
    found = []
    for one in subject.sweep:
        parameters = {name: values(name, given) for name, given in one.parameters.items()}
        if one.policy is None:
            found += candidates(BASE, BASE_NAME, parameters)
        else:
            path = pathlib.Path(subject.folder, one.policy)
            found += candidates(policies.read(path), path.stem, parameters, str(path))
    return found
