"""The default seccomp profile, as a compiled filter (crun takes it ready) and as OCI text (runc compiles it itself).

The table `seccomp_default.json` allows what Docker documents as allowed by default; everything else fails with EPERM,
and clone3 with ENOSYS, so that C libraries fall back to clone, whose flags the filter can see. Compiling is
libseccomp's work, done once for each set of capabilities and kept on disk: it costs 6 ms a container otherwise.
"""

from __future__ import annotations

import base64
import ctypes
import errno
import functools
import hashlib
import json
import os
import platform
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

from roadstead.base import errors

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_COMPARE = {"not_equal": 1, "equal": 4, "masked_zero": 7}
_OCI_COMPARE = {"not_equal": "SCMP_CMP_NE", "equal": "SCMP_CMP_EQ", "masked_zero": "SCMP_CMP_MASKED_EQ"}
_NATIVE = {
    "x86_64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"),
    "aarch64": ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
    "riscv64": ("SCMP_ARCH_RISCV64",),
    "ppc64le": ("SCMP_ARCH_PPC64LE",),
    "s390x": ("SCMP_ARCH_S390X", "SCMP_ARCH_S390"),
}
_SUB_ARCHITECTURES = {"x86_64": (b"x86", b"x32"), "aarch64": (b"arm",), "s390x": (b"s390",)}
ARGUMENT_BYTES_MAX = 128 * 1024


class _Comparison(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


@functools.cache
def _table() -> dict[str, Any]:
    text = resources.files("roadstead.agent.oci").joinpath("seccomp_default.json").read_text()
    table: dict[str, Any] = json.loads(text)
    return table


def select(capabilities: frozenset[str], machine: str) -> tuple[list[str], list[dict[str, Any]]]:
    """(names allowed outright, rules with conditions) for a container with these capabilities. Pure."""
    table = _table()
    names = set(table["allow"]) | set(table["allow_on"].get(machine, ()))
    for capability, further in table["allow_with"].items():
        if capability in capabilities:
            names |= set(further)
    rules = [rule for rule in table["rules"] if rule.get("without") not in capabilities]
    return sorted(names), rules


def profile(capabilities: frozenset[str]) -> dict[str, Any]:
    """The `linux.seccomp` member of an OCI specification."""
    machine = platform.machine()
    names, rules = select(capabilities, machine)
    syscalls: list[dict[str, Any]] = [{"names": names, "action": "SCMP_ACT_ALLOW"}]
    for rule in rules:
        action = {"action": "SCMP_ACT_ALLOW"} if rule["action"] == "allow" else {"action": "SCMP_ACT_ERRNO"}
        further = {"errnoRet": rule["errno"]} if "errno" in rule else {}
        if "operator" not in rule:
            syscalls.append({"names": rule["names"], **action, **further})
        for value in rule.get("values", ()):
            argument = {"index": rule["argument"], "value": value, "op": _OCI_COMPARE[rule["operator"]]}
            if rule["operator"] == "masked_zero":
                argument["valueTwo"] = 0
            syscalls.append({"names": rule["names"], "args": [argument], **action, **further})
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": _table()["default"]["errno"],
        "architectures": list(_NATIVE.get(machine, ())),
        "syscalls": syscalls,
    }


def compiled(capabilities: frozenset[str], cache: Path) -> str:
    """The filter as base64, from the cache or compiled now. Raises HostProblem where libseccomp is missing."""
    library = _library()
    machine = platform.machine()
    selected = json.dumps([select(capabilities, machine), machine, _version(library)]).encode()
    path = cache / f"{hashlib.sha256(selected).hexdigest()[:32]}.bpf"
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        data = _compile(library, capabilities, machine)
        descriptor, temporary = tempfile.mkstemp(dir=cache)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    return base64.b64encode(data).decode()


@functools.cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    except OSError as problem:
        raise errors.HostProblem(
            "the default seccomp profile can't be compiled", f"{problem}", "Install it: apt-get install libseccomp2"
        ) from problem
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    library.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    library.seccomp_arch_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    library.seccomp_attr_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32]
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(_Comparison),
    ]
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.seccomp_version.restype = ctypes.POINTER(ctypes.c_uint * 3)
    return library


def _version(library: ctypes.CDLL) -> list[int]:
    return list(library.seccomp_version().contents)


def _compile(library: ctypes.CDLL, capabilities: frozenset[str], machine: str) -> bytes:
    context = library.seccomp_init(_ERRNO | int(_table()["default"]["errno"]))
    if not context:
        raise errors.HostProblem("the default seccomp profile can't be compiled", "libseccomp gave no filter", "")
    try:
        for further in _SUB_ARCHITECTURES.get(machine, ()):
            library.seccomp_arch_add(context, library.seccomp_arch_resolve_name(further))
        library.seccomp_attr_set(context, 8, 2)  # SCMP_FLTATR_CTL_OPTIMIZE: a binary tree instead of a long list
        names, rules = select(capabilities, machine)
        for name in names:
            _add(library, context, _ALLOW, name, [])
        for rule in rules:
            action = _ALLOW if rule["action"] == "allow" else _ERRNO | int(rule.get("errno", errno.EPERM))
            for name in rule["names"]:
                if "operator" not in rule:
                    _add(library, context, action, name, [])
                for value in rule.get("values", ()):
                    comparison = (int(rule["argument"]), _COMPARE[str(rule["operator"])], int(value), 0)
                    _add(library, context, action, name, [comparison])
        with tempfile.TemporaryFile() as file:
            if library.seccomp_export_bpf(context, file.fileno()) != 0:
                raise errors.HostProblem("the default seccomp profile can't be compiled", "export failed", "")
            file.seek(0)
            return file.read()
    finally:
        library.seccomp_release(context)


def _add(
    library: ctypes.CDLL, context: int, action: int, name: str, comparisons: list[tuple[int, int, int, int]]
) -> None:
    number = library.seccomp_syscall_resolve_name(name.encode())
    if number == -1:
        return  # newer than this libseccomp: it can't be allowed, and then fails as unknown calls do
    array = (_Comparison * max(1, len(comparisons)))(*(_Comparison(*each) for each in comparisons))
    result = library.seccomp_rule_add_array(context, action, number, len(comparisons), array)
    if result not in (0, -errno.EEXIST, -errno.EDOM):
        raise errors.HostProblem(
            "the default seccomp profile can't be compiled", f"{name}: {os.strerror(-result)}", "Report this as a bug."
        )
