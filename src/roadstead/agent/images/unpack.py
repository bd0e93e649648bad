"""Unpack one image layer into a directory that an overlay mount can use as a lower layer.

In: a stored layer blob (tar, gzip or zstd). Out: a directory with the layer's files; deletions turned from the
archive's whiteouts (`.wh.name`, `.wh..wh..opq`) into overlay's own form. Both digests are verified. No entry can leave
the directory: `..` is refused, and symbolic links are resolved inside the layer by the kernel (openat2).
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import stat
import subprocess
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from roadstead.agent.oci import syscalls

ENTRIES_MAX = 2_000_000
LAYER_BYTES_MAX = 128 * 1024**3
CHUNK_BYTES = 256 * 1024
WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
XATTR_PREFIX = "SCHILY.xattr."


class LayerProblem(Exception):
    """The layer is damaged, hostile, or of a kind that this host can't unpack."""


class _HashingReader(io.RawIOBase):
    """Reads through and hashes what passes; `finish` drains the rest."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self.hash = hashlib.sha256()
        self.bytes_read = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self.hash.update(data)
        self.bytes_read += len(data)
        if self.bytes_read > LAYER_BYTES_MAX:
            raise LayerProblem(f"layer is larger than {LAYER_BYTES_MAX} bytes")
        return data

    def finish(self) -> str:
        while self.read(CHUNK_BYTES):
            pass
        return f"sha256:{self.hash.hexdigest()}"


class _GzipReader(io.RawIOBase):
    """Inflates one or more gzip members; zlib does it in large pieces without the interpreter's lock."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._inflate = zlib.decompressobj(wbits=31)
        self._ready = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while not self._ready:
            if self._inflate.eof:
                rest = self._inflate.unused_data or self._source.read(CHUNK_BYTES)
                if not rest.strip(b"\0"):
                    return b""
                self._inflate = zlib.decompressobj(wbits=31)
                self._ready = self._inflate.decompress(rest)
                continue
            data = self._source.read(CHUNK_BYTES)
            if not data:
                raise LayerProblem("layer is cut short: its gzip stream has no end")
            self._ready = self._inflate.decompress(data)
        if size < 0 or size >= len(self._ready):
            data, self._ready = self._ready, b""
        else:
            data, self._ready = self._ready[:size], self._ready[size:]
        return data


@contextmanager
def _decompressed(blob: Path, compressed: _HashingReader) -> Iterator[IO[bytes]]:
    with blob.open("rb") as peek:
        magic = peek.read(4)
    if magic[:2] == b"\x1f\x8b":
        yield _GzipReader(compressed)  # type: ignore[arg-type,misc]
    elif magic == b"\x28\xb5\x2f\xfd":
        program = shutil.which("zstd")
        if program is None:
            raise LayerProblem("layer is zstd-compressed and no `zstd` is installed: apt-get install zstd")
        with blob.open("rb") as source:
            process = subprocess.Popen([program, "-dcq"], stdin=source, stdout=subprocess.PIPE)
            assert process.stdout is not None
            try:
                yield process.stdout
                if process.wait() != 0:
                    raise LayerProblem("layer is damaged: zstd can't decompress it")
            finally:
                process.stdout.close()
                process.kill()
                process.wait()
    else:
        yield compressed  # type: ignore[misc]


def unpack_layer(blob: Path, digest: str, diff_id: str, target: Path) -> int:
    """Unpack `blob` into the empty directory `target`; returns the bytes of its files.

    Raises LayerProblem where a digest does not match or an entry is refused; `target` is then half filled.
    """
    root = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with blob.open("rb", buffering=0) as raw:
            compressed = _HashingReader(raw)
            with _decompressed(blob, compressed) as plain:
                hashed = _HashingReader(plain)
                size = _Layer(root).fill(hashed)
                found_diff = hashed.finish()
            found = compressed.finish()
    except (tarfile.TarError, zlib.error, EOFError) as problem:
        raise LayerProblem(f"layer is damaged: {problem}") from problem
    finally:
        os.close(root)
    if found != digest:
        raise LayerProblem(f"layer is damaged: its digest is {found}, expected {digest}")
    if found_diff != diff_id:
        raise LayerProblem(f"layer is damaged: its uncompressed digest is {found_diff}, expected {diff_id}")
    return size


class _Layer:
    """The directory being filled."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._parent_path: str | None = None
        self._parent = -1
        self._directory_times: dict[str, float] = {}

    def fill(self, stream: _HashingReader) -> int:
        size = 0
        try:
            with tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK_BYTES) as archive:
                for count, member in enumerate(archive):
                    if count >= ENTRIES_MAX:
                        raise LayerProblem(f"layer has more than {ENTRIES_MAX} entries")
                    self._place(archive, member)
                    size += member.size
            self._forget_parent()
            for path, moment in reversed(self._directory_times.items()):
                self._set_times(path, moment)
        finally:
            self._forget_parent()
        return size

    def _set_times(self, path: str, moment: float) -> None:
        try:
            descriptor = syscalls.open_in_root(self._root, path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            return  # replaced by a later entry
        os.utime(descriptor, (moment, moment))
        os.close(descriptor)

    def _place(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        path = _safe_path(member.name)
        if path == "":
            if member.isdir():
                self._dress(self._root, ".", member)
                self._directory_times["."] = member.mtime
            return
        folder, _, name = path.rpartition("/")
        parent = self._open_parent(folder)
        if name == OPAQUE:
            os.setxattr(parent, "trusted.overlay.opaque", b"y")
            return
        if name.startswith(WHITEOUT + WHITEOUT):
            return  # aufs bookkeeping, of no meaning here
        if name.startswith(WHITEOUT):
            self._whiteout(parent, name[len(WHITEOUT) :])
            return
        if not (member.isdir() and _is_directory(parent, name)):
            self._clear(parent, name)
        self._make(archive, member, parent, name)
        if member.isdir():
            self._directory_times[path] = member.mtime

    def _whiteout(self, parent: int, name: str) -> None:
        if name in ("", ".", ".."):
            raise LayerProblem("layer has a whiteout without a name")
        self._clear(parent, name)
        os.mknod(name, stat.S_IFCHR | 0o600, os.makedev(0, 0), dir_fd=parent)

    def _make(self, archive: tarfile.TarFile, member: tarfile.TarInfo, parent: int, name: str) -> None:
        if member.islnk():
            self._link(member, parent, name)
            return
        if member.isreg():
            descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=parent)
            source = archive.extractfile(member)
            assert source is not None
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                shutil.copyfileobj(source, file, CHUNK_BYTES)
        elif member.isdir():
            if not _is_directory(parent, name):
                os.mkdir(name, 0o700, dir_fd=parent)
        elif member.issym():
            os.symlink(member.linkname, name, dir_fd=parent)
        elif member.isfifo():
            os.mkfifo(name, 0o600, dir_fd=parent)
        elif member.ischr() or member.isblk():
            kind = stat.S_IFCHR if member.ischr() else stat.S_IFBLK
            os.mknod(name, kind | 0o600, os.makedev(member.devmajor, member.devminor), dir_fd=parent)
        else:
            raise LayerProblem(f"layer has an entry of an unknown kind: {member.name!r}")
        self._dress(parent, name, member)

    def _link(self, member: tarfile.TarInfo, parent: int, name: str) -> None:
        source = _safe_path(member.linkname)
        folder, _, source_name = source.rpartition("/")
        if not source_name:
            raise LayerProblem(f"layer has a hard link to its root: {member.name!r}")
        try:
            source_parent = syscalls.open_in_root(self._root, folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.link(source_name, name, src_dir_fd=source_parent, dst_dir_fd=parent, follow_symlinks=False)
            finally:
                os.close(source_parent)
        except FileNotFoundError:
            raise LayerProblem(f"layer has a hard link to a file that it lacks: {member.linkname!r}") from None

    def _dress(self, parent: int, name: str, member: tarfile.TarInfo) -> None:
        os.chown(name, member.uid, member.gid, dir_fd=parent, follow_symlinks=False)
        if not member.issym():
            os.chmod(name, member.mode & 0o7777, dir_fd=parent)
        for key, value in member.pax_headers.items():
            attribute = key.removeprefix(XATTR_PREFIX)
            # Others (trusted.overlay.*, security.selinux) would steer the host's overlay or policy.
            if key.startswith(XATTR_PREFIX) and (attribute == "security.capability" or attribute.startswith("user.")):
                data = value.encode("utf-8", "surrogateescape")
                os.setxattr(f"/proc/self/fd/{parent}/{name}", attribute, data, follow_symlinks=False)
        if not member.isdir():
            os.utime(name, (member.mtime, member.mtime), dir_fd=parent, follow_symlinks=False)

    def _open_parent(self, folder: str) -> int:
        if folder == self._parent_path:
            return self._parent
        self._forget_parent()
        try:
            descriptor = syscalls.open_in_root(self._root, folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            descriptor = self._make_folders(folder)
        except OSError as problem:
            raise LayerProblem(f"layer has an entry below {folder!r}, which is no directory: {problem}") from problem
        self._parent_path, self._parent = folder, descriptor
        return descriptor

    def _make_folders(self, folder: str) -> int:
        """Directories that the archive does not name, as tar makes them: mode 755."""
        built = ""
        for part in folder.split("/"):
            above = syscalls.open_in_root(self._root, built, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.mkdir(part, 0o755, dir_fd=above)
            except FileExistsError:
                pass
            finally:
                os.close(above)
            built = f"{built}/{part}" if built else part
        try:
            return syscalls.open_in_root(self._root, folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as problem:
            raise LayerProblem(f"layer has an entry below {folder!r}, which leads nowhere: {problem}") from problem

    def _forget_parent(self) -> None:
        if self._parent >= 0:
            os.close(self._parent)
        self._parent_path, self._parent = None, -1

    def _clear(self, parent: int, name: str) -> None:
        try:
            if _is_directory(parent, name):
                shutil.rmtree(name, dir_fd=parent)
            else:
                os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            return


def _is_directory(parent: int, name: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _safe_path(name: str) -> str:
    """The entry's path relative to the layer's root; refuses what would climb out of it."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in name:
        raise LayerProblem(f"layer has an entry that leaves it: {name!r}")
    return "/".join(parts)
