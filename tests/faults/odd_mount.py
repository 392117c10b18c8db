"""A real FUSE mount of a folder, with the oddities of mounted object storage and network shares.

It speaks the kernel's protocol (linux/fuse.h) and is run as a program of its own: ``python odd_mount.py MOUNT BACKING
'{"fsync": 22}'``. It says "mounted" and serves until it is killed, which leaves a crashed mount.

- ``untold``: statfs answers zeros
- ``name_max``: bytes that a name may have
- ``fsync``, ``link``, ``chmod``: the errno that these answer
- none of them: as all older ones, it knows no rename that replaces nothing
- ``mode``: the permissions of every file, whatever is asked for
- ``in_order``: the errno of a write that does not begin at the end of the file
- ``folds``: upper and lower case are the same in names
- ``step``: nanoseconds between two time stamps
- ``empty``: stat says 0 bytes of every file
- ``hangs``: fsync is never answered; the program says "fsync" when it is asked for one
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

REQUEST = struct.Struct("<IIQQIIII")
ATTRIBUTES = struct.Struct("<6Q10I")
SETATTR = struct.Struct("<IIQQQQQQIIIIIIII")
ROOT = 1
DIRECT_IO = 1  # reads go to us, whatever the size is
FSYNC = 20
FORGET, INTERRUPT, BATCH_FORGET = 2, 36, 42  # they are not answered


@contextmanager
def odd_mount(folder: Path, **oddities: Any) -> Iterator[Path]:
    """Mount a folder; the test is skipped where that is not allowed."""
    with serving(folder, **oddities) as (mount, _):
        yield mount


@contextmanager
def serving(folder: Path, **oddities: Any) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """As :func:`odd_mount`, with the process that serves it."""
    if os.getuid() or not os.path.exists("/dev/fuse"):
        pytest.skip("a FUSE mount needs root and /dev/fuse")
    mount, backing = folder / "mount", folder / "backing"
    mount.mkdir(parents=True)
    backing.mkdir()
    command = (sys.executable, __file__, str(mount), str(backing), json.dumps(oddities))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            if server.stdout.readline().strip() != "mounted":
                pytest.skip("mounting is not allowed here")
            yield mount, server
        finally:
            server.kill()
            subprocess.run(["umount", "--lazy", str(mount)], check=False)


class Server:
    def __init__(self, device: int, backing: str, oddities: dict[str, Any]) -> None:
        self._device = device
        self._oddities = oddities
        self._paths = {ROOT: backing}  # of each node
        self._files: dict[int, list[int]] = {}  # of each node: the descriptors that are open
        self._operations: dict[int, Callable[[int, bytes], bytes]] = {
            1: lambda node, data: self._entry(self._child(node, data)),  # LOOKUP
            3: lambda node, _: bytes(16) + self._attributes(node),  # GETATTR
            4: self._set_attributes,
            10: self._unlink,
            12: lambda node, data: self._rename(node, data, 8),
            13: self._link,
            14: self._open,
            15: self._read,
            16: self._write,
            17: self._statfs,
            18: self._release,
            FSYNC: self._fsync,
            25: lambda *_: b"",  # FLUSH
            26: self._init,
            27: lambda *_: bytes(16),  # OPENDIR
            28: self._list,
            29: lambda *_: b"",  # RELEASEDIR
            30: self._fsync,  # FSYNCDIR
            35: self._create,
            45: lambda node, data: self._rename(node, data, 16),
        }

    def serve(self) -> None:
        while True:
            request = os.read(self._device, 2**21)
            _, operation, unique, node, *_ = REQUEST.unpack_from(request)
            if operation in (FORGET, INTERRUPT, BATCH_FORGET):
                continue
            if operation == FSYNC and self._oddities.get("hangs"):
                print("fsync", flush=True)
                continue
            try:
                answer, error = self._operations[operation](node, request[REQUEST.size :]), 0
            except KeyError:
                answer, error = b"", errno.ENOSYS
            except OSError as failure:
                answer, error = b"", failure.errno or errno.EIO
            with suppress(OSError):  # nobody waits for it any more
                os.write(self._device, struct.pack("<IiQ", 16 + len(answer), -error, unique) + answer)

    def _odd(self, name: str) -> None:
        if name in self._oddities:
            raise OSError(self._oddities[name], name)

    def _init(self, _: int, data: bytes) -> bytes:
        _, _, readahead, _ = struct.unpack_from("<IIII", data)
        return struct.pack("<IIIIHHIIHHI28x", 7, 31, readahead, 0, 8, 6, 2**17, 1, 0, 0, 0)

    # --- names --------------------------------------------------------------------------------------------------------

    def _child(self, node: int, data: bytes) -> str:
        name = data.rstrip(b"\0")
        if len(name) > self._oddities.get("name_max", 255):
            raise OSError(errno.ENAMETOOLONG, "name")
        return os.path.join(self._paths[node], os.fsdecode(name.lower() if self._oddities.get("folds") else name))

    def _entry(self, path: str) -> bytes:
        node = os.lstat(path).st_ino
        self._paths[node] = path
        return struct.pack("<QQQQII", node, 0, 0, 0, 0, 0) + self._attributes(node)

    def _attributes(self, node: int) -> bytes:
        opened = self._files.get(node)
        found = os.fstat(opened[0]) if opened else os.lstat(self._paths[node])
        size = 0 if self._oddities.get("empty") and stat.S_ISREG(found.st_mode) else found.st_size
        mode = found.st_mode
        if "mode" in self._oddities and stat.S_ISREG(mode):
            mode = stat.S_IFREG | self._oddities["mode"]
        step = self._oddities.get("step", 1)
        times = [time // step * step for time in (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)]
        return ATTRIBUTES.pack(
            node, size, found.st_blocks, *(time // 10**9 for time in times), *(time % 10**9 for time in times),
            mode, found.st_nlink, found.st_uid, found.st_gid, 0, 4096, 0,
        )  # fmt: skip

    def _set_attributes(self, node: int, data: bytes) -> bytes:
        valid, _, _, size, _, atime, mtime, *_, mode, _, _, _, _ = SETATTR.unpack_from(data)
        opened = self._files.get(node)
        target: Any = opened[0] if opened else self._paths[node]
        if valid & 1:
            self._odd("chmod")
            os.chmod(target, stat.S_IMODE(mode))
        if valid & 8:
            os.truncate(target, size)
        if valid & 48 and not valid & 384:
            os.utime(target, (atime, mtime))
        return bytes(16) + self._attributes(node)

    def _unlink(self, node: int, data: bytes) -> bytes:
        os.unlink(self._child(node, data))
        return b""

    def _rename(self, node: int, data: bytes, head: int) -> bytes:
        if head > 8 and struct.unpack_from("<QI", data)[1]:
            raise OSError(errno.EINVAL, "flags")
        old, new = data[head:].split(b"\0")[:2]
        source, target = self._child(node, old), self._child(struct.unpack_from("<Q", data)[0], new)
        os.rename(source, target)
        self._paths[os.lstat(target).st_ino] = target
        return b""

    def _link(self, node: int, data: bytes) -> bytes:
        self._odd("link")
        path = self._child(node, data[8:])
        os.link(self._paths[struct.unpack_from("<Q", data)[0]], path)
        return self._entry(path)

    def _list(self, node: int, data: bytes) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", data)
        listed = b""
        for number, name in enumerate(sorted(os.listdir(self._paths[node]))[offset:], offset + 1):
            raw = os.fsencode(name)
            entry = struct.pack("<QQII", number, number, len(raw), 0) + raw
            entry += bytes(-len(entry) % 8)
            if len(listed) + len(entry) > size:
                break
            listed += entry
        return listed

    def _statfs(self, *_: object) -> bytes:
        name_max = self._oddities.get("name_max", 255)
        blocks = 0 if self._oddities.get("untold") else 2**20
        return struct.pack("<5Q4I24x", *[blocks] * 5, 4096, name_max, 4096, 0)

    # --- bytes --------------------------------------------------------------------------------------------------------

    def _opened(self, path: str, flags: int, mode: int = 0) -> bytes:
        file = os.open(path, flags & ~(os.O_NOFOLLOW | os.O_DIRECT), mode)
        self._files.setdefault(os.fstat(file).st_ino, []).append(file)
        return struct.pack("<QII", file, DIRECT_IO if self._oddities.get("empty") else 0, 0)

    def _open(self, node: int, data: bytes) -> bytes:
        return self._opened(self._paths[node], struct.unpack_from("<I", data)[0])

    def _create(self, node: int, data: bytes) -> bytes:
        flags, mode, umask = struct.unpack_from("<III", data)
        path = self._child(node, data[16:])
        opened = self._opened(path, flags | os.O_CREAT, mode & ~umask)
        return self._entry(path) + opened

    def _release(self, node: int, data: bytes) -> bytes:
        [file] = struct.unpack_from("<Q", data)
        self._files[node].remove(file)
        os.close(file)
        return b""

    def _read(self, _: int, data: bytes) -> bytes:
        file, offset, size = struct.unpack_from("<QQI", data)
        return os.pread(file, size, offset)

    def _write(self, _: int, data: bytes) -> bytes:
        file, offset, size = struct.unpack_from("<QQI", data)
        if offset != os.fstat(file).st_size:
            self._odd("in_order")
        return struct.pack("<II", os.pwrite(file, data[40 : 40 + size], offset), 0)

    def _fsync(self, *_: object) -> bytes:
        self._odd("fsync")
        return b""


def main(mount: str, backing: str, oddities: str) -> None:
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions"
    if ctypes.CDLL(None).mount(b"odd", mount.encode(), b"fuse", 0, options.encode()):
        return
    print("mounted", flush=True)
    os.umask(0)
    Server(device, backing, json.loads(oddities)).serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
