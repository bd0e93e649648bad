"""System calls that Python's standard library lacks, as thin functions that raise OSError.

In: paths, flags, file descriptors. Out: file descriptors or nothing. Called by the runtime's namespace thread,
the image unpacker and the network part.
"""

from __future__ import annotations

import ctypes
import os
import re

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MNT_DETACH = 2

CLONE_FS = 0x00000200
CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000

NSFS_MAGIC = 0x6E736673
CGROUP2_MAGIC = 0x63677270

RESOLVE_IN_ROOT = 0x10
_SYS_OPENAT2 = 437
"""The number is the same on all architectures."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]
_libc.umount2.argtypes = [ctypes.c_char_p, ctypes.c_int]
_libc.syscall.restype = ctypes.c_long


class _OpenHow(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


class _Statfs(ctypes.Structure):
    _fields_ = [("f_type", ctypes.c_long), ("rest", ctypes.c_char * 248)]


def _check(result: int, path: str = "") -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path or None)
    return result


def mount(source: str, target: str, filesystem: str, flags: int, data: str = "") -> None:
    """mount(2)."""
    _check(
        _libc.mount(os.fsencode(source), os.fsencode(target), filesystem.encode(), flags, os.fsencode(data)),
        target,
    )


def unmount(target: str) -> None:
    """umount2(2), detached: gone from the tree at once, freed when the last user is gone."""
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), target)


def unshare(flags: int) -> None:
    """unshare(2) for the calling thread."""
    _check(_libc.unshare(flags))


def setns(descriptor: int, kind: int) -> None:
    """setns(2) for the calling thread."""
    _check(_libc.setns(descriptor, kind))


def open_in_root(root: int, path: str, flags: int, mode: int = 0) -> int:
    """openat2(2) with RESOLVE_IN_ROOT: symbolic links, absolute ones too, never lead out of the directory `root`."""
    how = _OpenHow(flags | os.O_CLOEXEC, mode, RESOLVE_IN_ROOT)
    encoded = os.fsencode(path or ".")
    return _check(_libc.syscall(_SYS_OPENAT2, root, encoded, ctypes.byref(how), ctypes.sizeof(how)), path)


def is_on_cgroup(path: str) -> bool:
    """Whether a path lies in a cgroup version 2 file system."""
    facts = _Statfs()
    return _libc.statfs(os.fsencode(path), ctypes.byref(facts)) == 0 and int(facts.f_type) == CGROUP2_MAGIC


def is_mount_point(path: str) -> bool:
    """Whether something is mounted here, in this process's mount namespace; bind mounts count too."""
    return path in _mount_points()


def mount_points_below(folder: str) -> list[str]:
    """Mount points in a directory; one on which several things are mounted is named several times."""
    return [point for point in _mount_points() if point.startswith(f"{folder}/")]


def _mount_points() -> list[str]:
    with open("/proc/self/mountinfo", "rb") as table:
        raw = [line.split()[4] for line in table]
    # The kernel writes blanks and backslashes as octal numbers.
    return [os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), point)) for point in raw]


def is_namespace_file(path: str) -> bool:
    """Whether a namespace is bound to this path."""
    facts = _Statfs()
    if _libc.statfs(os.fsencode(path), ctypes.byref(facts)) < 0:
        return False
    return int(facts.f_type) == NSFS_MAGIC
