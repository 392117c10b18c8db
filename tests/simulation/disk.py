"""The operations on local files, with faults: stands in for ``os`` in the engine's modules for them.

The files are real. What is simulated is a disk that is full or fails, a write that is short or torn by kill -9, and
kill -9 between any two operations.
"""

from __future__ import annotations

import errno
import itertools
import os
from typing import TYPE_CHECKING, Any, cast

from tests.simulation.oss import DELAY
from tests.simulation.scheduler import Scheduler

if TYPE_CHECKING:
    from tests.simulation.world import Try, World

PART_FILE = ".ossresume-part"
ERRORS = {"full": errno.ENOSPC, "broken": errno.EIO}


class Disk:
    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._unsynced: set[int] = set()  # inodes with bytes that a loss of power would lose
        self._lost: set[int] = set()  # inodes with bytes that a failed flush has lost, whatever is read of them
        self._openings = itertools.count(1)
        self._opened: dict[int, int] = {}  # descriptors are used again, openings are not
        self._transfers: dict[int, World] = {}  # whose part file an inode is

    @property
    def _world(self) -> World:
        """Of the try that asks."""
        return cast("Try", self._scheduler.process).world

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, *arguments: Any) -> int:
        descriptor = os.open(*arguments)
        self._opened[descriptor] = next(self._openings)
        if str(arguments[0]).endswith(PART_FILE):
            self._is_ours(os.fstat(descriptor).st_ino)
        return descriptor

    def _is_ours(self, inode: int) -> None:
        """Invariant 6."""
        if self._transfers.setdefault(inode, self._world) is not self._world:
            self._world.ledger.violate(f"(6) {self._world.current_try} uses the part file of another transfer")

    def pwrite(self, descriptor: int, data: memoryview, offset: int) -> int:
        self._world.ledger.begins_to_write(self._world.current_try)
        action = self._before("pwrite", descriptor)
        if action in ("short", "torn"):
            data = data[: (len(data) + 1) // 2]
        inode = os.fstat(descriptor).st_ino
        self._unsynced.add(inode)
        self._world.ledger.writes(self._world.current_try, inode, self._opened[descriptor])
        size = os.pwrite(descriptor, data, offset)
        if action == "torn":
            self._world.kill(self._world.current_try)
        self._after("pwrite")
        return size

    def preadv(self, descriptor: int, buffers: Any, offset: int) -> int:
        self._before("preadv", descriptor)
        return os.preadv(descriptor, buffers, offset)

    def ftruncate(self, descriptor: int, size: int) -> None:
        self._before("ftruncate")
        os.ftruncate(descriptor, size)
        if not size:
            self._lost.discard(os.fstat(descriptor).st_ino)
        self._unsynced.add(os.fstat(descriptor).st_ino)
        self._world.ledger.part_file_touched(self._world.current_try)
        self._after("ftruncate")

    def unlink(self, path: Any) -> None:
        self._before("unlink")
        inode = os.lstat(path).st_ino
        self._is_ours(inode)
        os.unlink(path)
        del self._transfers[inode]
        self._lost.discard(inode)  # the number may be another file's
        self._world.ledger.part_file_touched(self._world.current_try)
        self._after("unlink")

    def fsync(self, descriptor: int) -> None:
        try:
            self._before("fsync", descriptor)
        except OSError:
            self._lost.add(os.fstat(descriptor).st_ino)
            self._world.current_try.part_file_touched = True  # what it has fetched is to be thrown away
            raise
        self._unsynced.discard(os.fstat(descriptor).st_ino)  # tmpfs: nothing to wait for
        self._after("fsync")

    def replace(self, source: Any, target: Any) -> None:
        self._publish("replace", source, target)

    def rename_without_replacing(self, source: Any, target: Any) -> None:
        self._publish("rename", source, target)

    def _publish(self, operation: str, source: Any, target: Any) -> None:
        self._before(operation)
        if operation == "rename" and os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        inode = os.stat(source).st_ino
        is_synced = inode not in self._unsynced | self._lost
        self._is_ours(inode)
        getattr(os, operation)(source, target)
        del self._transfers[inode]
        self._world.ledger.file_published(self._world.current_try, is_synced=is_synced)
        self._after(operation)

    def _before(self, operation: str, descriptor: int | None = None) -> str | None:
        action = self._world.point(operation, "before")
        if action == "delay":  # by the disk, whatever its caller is told meanwhile
            self._world.ledger.waits(self._world.current_try, operation)
            self._world.scheduler.sleep(DELAY)
            self._world.ledger.is_held(self._world.current_try, descriptor)
        if action in ERRORS:
            self._world.note(f"{operation} -> {action}")
            self._world.current_try.has_met_bad_sector |= operation == "preadv"
            self._world.current_try.has_left_part_file |= operation == "unlink"
            raise OSError(ERRORS[action], os.strerror(ERRORS[action]))
        return action

    def _after(self, operation: str) -> None:
        self._world.point(operation, "after")
