"""What containers wrote: parse, read and follow the log files in `<data dir>/logs/<task>/<container>.log`.

conmon writes a line as `<RFC 3339 time> <stdout|stderr> <F|P> <text>`; P marks a piece of a longer line. When a file
reaches monitor.LOG_BYTES_MAX conmon begins a new one, and the runtime keeps one older (`.log.1`), so a container's log
takes at most twice that. Logs outlive their containers: those of the newest TASKS_MAX tasks are kept, for
RETENTION_SECONDS after the last line.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

Stream = Literal["stdout", "stderr"]
LINE_BYTES_MAX = 256 * 1024
"""A longer line without an end is given in pieces."""
RETENTION_SECONDS = 24 * 3600.0
TASKS_MAX = 1000
FOLLOW_SECONDS = 0.2
READ_BYTES = 256 * 1024


class Line(msgspec.Struct, frozen=True, kw_only=True):
    written_at: float
    stream: Stream
    text: str


class Parser:
    """Bytes in, whole lines out. Pure: keeps only the pieces of unfinished lines."""

    def __init__(self) -> None:
        self._rest = b""
        self._pieces: dict[str, tuple[float, list[str], int]] = {}

    def feed(self, data: bytes) -> Iterator[Line]:
        self._rest += data
        *whole, self._rest = self._rest.split(b"\n")
        for raw in whole:
            line = self._one(raw)
            if line is not None:
                yield line

    def finish(self) -> Iterator[Line]:
        """What is still unfinished, where no more will come."""
        for stream, (moment, pieces, _) in self._pieces.items():
            yield Line(written_at=moment, stream="stderr" if stream == "stderr" else "stdout", text="".join(pieces))
        self._pieces.clear()

    def _one(self, raw: bytes) -> Line | None:
        fields = raw.decode(errors="replace").split(" ", 3)
        if len(fields) < 4 or fields[1] not in ("stdout", "stderr"):
            return None  # cut by a crash of the host
        try:
            moment = parse_time(fields[0])
        except ValueError:
            return None
        stream: Stream = "stderr" if fields[1] == "stderr" else "stdout"
        begun, pieces, size = self._pieces.pop(stream, (moment, [], 0))
        pieces.append(fields[3])
        size += len(fields[3])
        if fields[2] == "P" and size < LINE_BYTES_MAX:
            self._pieces[stream] = (begun, pieces, size)
            return None
        return Line(written_at=begun, stream=stream, text="".join(pieces))


def parse_time(text: str) -> float:
    """conmon writes nanoseconds, datetime reads microseconds."""
    day, _, fraction = text.partition(".")
    digits = "".join(character for character in fraction if character.isdigit())
    zone = fraction.lstrip("0123456789") or "+00:00"
    if fraction and zone[0] in "+-":
        digits = fraction[: len(fraction) - len(zone)]
    moment = datetime.datetime.fromisoformat(day + zone if fraction else day)
    return moment.timestamp() + (int(digits[:9]) / 10 ** len(digits[:9]) if digits else 0.0)


def find(data_dir: str | os.PathLike[str], task_id: str) -> dict[str, Path]:
    """Log files of a task by its containers' names."""
    folder = Path(data_dir) / "logs" / task_id
    return {path.name.removesuffix(".log"): path for path in sorted(folder.glob("*.log"))}


def read(path: Path) -> Iterator[Line]:
    """All lines that are kept, oldest first."""
    parser = Parser()
    for each in _files(path):
        with contextlib.suppress(FileNotFoundError), each.open("rb") as file:
            while data := file.read(READ_BYTES):
                yield from parser.feed(data)
    yield from parser.finish()


def _files(path: Path) -> list[Path]:
    older = Path(f"{path}.1")
    return [older, path] if older.exists() else [path]


async def follow(path: Path, ended: Callable[[], bool]) -> AsyncIterator[Line]:
    """All lines kept, then new ones as they come, until `ended()` says that none will come. Survives rotation."""
    parser = Parser()
    for line in parser.feed(_read_older(path)):
        yield line
    file = None
    try:
        while True:
            last_time = ended()
            if file is None:
                with contextlib.suppress(FileNotFoundError):
                    file = path.open("rb")
            while file is not None and (data := file.read(READ_BYTES)):
                for line in parser.feed(data):
                    yield line
            if file is not None and _was_replaced(file.fileno(), path):
                file.close()
                file = None
                continue
            if last_time:
                break
            await asyncio.sleep(FOLLOW_SECONDS)
    finally:
        if file is not None:
            file.close()
    for line in parser.finish():
        yield line


def _read_older(path: Path) -> bytes:
    try:
        return Path(f"{path}.1").read_bytes()
    except FileNotFoundError:
        return b""


def _was_replaced(descriptor: int, path: Path) -> bool:
    try:
        return os.fstat(descriptor).st_ino != path.stat().st_ino
    except FileNotFoundError:
        return False


def keep_one_older(path: Path) -> None:
    """Called now and then: keeps the file that conmon has just replaced, as `.log.1`.

    A second name (`.log.keep`) holds the current file; when conmon puts a new one in place, that name is the old one.
    """
    keep = Path(f"{path}.keep")
    try:
        current = path.stat().st_ino
        kept = keep.stat().st_ino if keep.exists() else None
        if kept == current:
            return
        if kept is not None:
            os.replace(keep, f"{path}.1")
        os.link(path, keep)
    except FileNotFoundError:
        return


def prune(folder: Path, living: set[str], now: float) -> None:
    """Remove logs of tasks that are gone: too old, or beyond the newest TASKS_MAX."""
    gone = [each for each in folder.iterdir() if each.is_dir() and each.name not in living]
    ages = sorted(((_last_write(each), each) for each in gone), reverse=True)
    for place, (moment, each) in enumerate(ages):
        if place >= TASKS_MAX or now - moment > RETENTION_SECONDS:
            shutil.rmtree(each, ignore_errors=True)


def _last_write(folder: Path) -> float:
    moments = [folder.stat().st_mtime]
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            moments.append(path.stat().st_mtime)
    return max(moments)
