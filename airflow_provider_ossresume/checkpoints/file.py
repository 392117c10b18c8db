"""A checkpoint store of files, for use without Airflow and for workers that share a folder."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar

from airflow_provider_ossresume.checkpoints import KEY
from airflow_provider_ossresume.errors import ArgumentError, StoreUnavailable
from airflow_provider_ossresume.model.file_errors import NO_LOCKS, REFUSED

R = TypeVar("R")

# Seconds. A stop is not noticed during these calls. After a stop, running calls have one second to end, and the
# checkpoint is saved once more. All of this must fit into five seconds, because Airflow 3 then kills the task.
LOAD_TIME = 3.0
SAVE_TIME = 2.0
HANG_TIME = 3.0  # seconds; later calls for the same checkpoint do not wait for a call that has taken longer
IDLE_TIME = 0.5  # seconds that an idle thread waits for another call
# A regular expression for the files that a killed save leaves. Version 0.1 used random names.
TEMPORARY_FILE = rb"\.%s\.[a-z0-9_]{8}" % KEY.encode()


class FileCheckpointStore:
    """Keeps each checkpoint in its own file, which only its owner can read. A file is written completely or not at all.

    Because a disk may be slow and a network share may hang, another thread makes each call. So the caller can be
    interrupted, and a call fails if it is not done in time (3 seconds for a load, 2 for a save or a delete). A save may
    still finish later; the next call for the same checkpoint waits for it.

    :param folder: created at the first save; by default ``~/.ossresume``
    :raises ArgumentError: if ``~`` cannot be expanded, or no folder can have this name
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self.folder = _absolute("~/.ossresume" if folder is None else folder)

    def load(self, key: str) -> str | None:
        found = self.load_first((key,))
        return found[1] if found else None

    def load_first(self, keys: Sequence[str]) -> tuple[str, str] | None:
        """Return the first of the keys that has a checkpoint, with its text. One thread looks for all of them."""
        paths = [self._path(key) for key in keys]
        return _in_thread(paths, lambda call: self._load_first(keys), within=LOAD_TIME)

    def save(self, key: str, text: str) -> None:
        _in_thread([self._path(key)], lambda call: self._save(key, text), within=SAVE_TIME)

    def delete(self, key: str) -> None:
        _in_thread([self._path(key)], lambda call: self._delete(key, call), within=SAVE_TIME)

    def _load_first(self, keys: Sequence[str]) -> tuple[str, str] | None:
        texts = ((key, self._load(key)) for key in keys)
        return next(((key, text) for key, text in texts if text is not None), None)

    def _load(self, key: str) -> str | None:
        try:
            return self._path(key).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            return ""  # not one of our checkpoints; decoding it reports that
        except OSError as error:
            raise StoreUnavailable(f"{self._path(key)} cannot be read: {error.strerror}") from error

    def _save(self, key: str, text: str) -> None:
        temporary = self._temporary_path(key)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _remove_leftover(temporary)
            file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                _lock(file)  # so that another try does not take it for a leftover
                _write(file, text.encode())
                if not os.path.samestat(os.fstat(file), os.lstat(temporary)):
                    raise BlockingIOError(errno.EAGAIN, "another process is saving it right now")
                os.replace(temporary, self._path(key))
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary)
                raise
            finally:
                os.close(file)
        except OSError as error:
            raise StoreUnavailable(f"{self._path(key)} cannot be written: {error.strerror}") from error

    def _delete(self, key: str, call: _Call) -> None:
        path = self._path(key)
        if call.is_abandoned:  # by now the file may be a later transfer's
            return
        try:
            path.unlink(missing_ok=True)
            with suppress(BlockingIOError):  # another try is saving right now
                _remove_leftover(self._temporary_path(key))
        except OSError as error:
            raise StoreUnavailable(f"{self._path(key)} cannot be removed: {error.strerror}") from error

    def keys(self) -> list[str]:
        """Return the keys of all checkpoints in the folder.

        :raises StoreUnavailable: if the folder cannot be listed
        """
        try:
            names = os.listdir(self.folder) if self.folder.exists() else []
        except OSError as error:
            raise StoreUnavailable(f"{self.folder} cannot be listed: {error.strerror}") from error
        return sorted(match[1] for name in names if (match := re.fullmatch(rf"({KEY})\.json", name)))

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"

    def _temporary_path(self, key: str) -> Path:
        return self.folder / f".{key}.new_save"  # always the same name, so that the next save removes a leftover

    def place(self, key: str) -> str:
        """Return what to look for on the disk."""
        return f"file {self._path(key)}"

    def __str__(self) -> str:
        return f"file {self.folder}"


class _Call:
    """A call that a helper thread makes.

    :ivar is_abandoned: the caller does not wait for it any more
    :ivar hangs_at: the time after which later calls do not wait for it either, on the monotonic clock
    """

    def __init__(self) -> None:
        self.is_abandoned = False
        self.hangs_at = time.monotonic() + HANG_TIME
        self.has_ended = threading.Event()
        self._token: deque[None] = deque((None,))  # its methods are atomic

    def begin(self) -> bool:
        """Return True only once: to the thread that makes the call, or to the caller, who thereby cancels it."""
        try:
            self._token.pop()
        except IndexError:
            return False
        return True


_abandoned: dict[Path, _Call] = {}  # calls that may still be running, by the checkpoint's path


def _in_thread(paths: Sequence[Path], function: Callable[[_Call], R], *, within: float) -> R:
    """Call the function in another thread and return its result. Each path has only one call at a time.

    :param within: seconds to wait, both for the result and for an abandoned call for one of the paths
    :raises StoreUnavailable: if that is not enough
    """
    done: SimpleQueue[Callable[[], R]] = SimpleQueue()
    ends = time.monotonic() + within
    for path in paths:
        before = _abandoned.get(path)
        if before is not None and not before.has_ended.wait(min(ends, before.hangs_at) - time.monotonic()):
            raise StoreUnavailable(f"an earlier call for {path} has not finished; the disk or the share may hang")
        _abandoned.pop(path, None)
    call = _Call()

    def run() -> Callable[[], None]:
        if not call.begin():
            return lambda: None
        try:
            result = function(call)
        except BaseException as error:  # any error is raised in the caller's thread
            failure = error

            def fail() -> R:
                raise failure

            return lambda: done.put(fail)
        finally:
            call.has_ended.set()
        return lambda: done.put(lambda: result)

    try:
        _HelperThread.do(run)
        outcome = done.get(timeout=max(0.0, ends - time.monotonic()))
    except BaseException as error:  # also one that a signal handler raises
        call.is_abandoned = True
        if not call.begin():
            _abandoned.update(dict.fromkeys(paths, call))
        if isinstance(error, Empty):
            raise StoreUnavailable(f"the disk of {paths[0].parent} did not answer within {within:g} s") from None
        raise
    return outcome()


class _HelperThread:
    """A thread for calls to the disk. It waits a moment for another call: a transfer makes several, and starting a
    thread takes longer than reading a small file."""

    def __init__(self) -> None:
        self._work: SimpleQueue[Callable[[], Callable[[], None]]] = SimpleQueue()

    @classmethod
    def do(cls, function: Callable[[], Callable[[], None]]) -> None:
        """Let an idle thread, or a new one, call the function, and then call what the function returned."""
        try:
            helper = _idle_helpers.pop()
        except IndexError:
            helper = cls()
            helper._work.put(function)
            try:
                threading.Thread(target=helper._serve, name="oss-checkpoint", daemon=True).start()
            except RuntimeError:  # there can be no more threads, or the process is exiting
                function()()
        else:
            helper._work.put(function)

    def _serve(self) -> None:
        function = self._work.get()
        while True:
            deliver = function()
            _idle_helpers.append(self)  # first, because the caller may make another call as soon as it has the outcome
            deliver()
            del function, deliver  # else their objects would stay in memory while this waits
            try:
                function = self._work.get(timeout=IDLE_TIME)
            except Empty:
                try:
                    _idle_helpers.remove(self)
                except ValueError:  # a caller has just taken this thread and will give it a call
                    function = self._work.get()
                else:
                    return


_idle_helpers: deque[_HelperThread] = deque()  # its methods are atomic: a caller that pops one owns it
# A forked child has none of the threads, and their calls end only in the parent.
os.register_at_fork(after_in_child=_idle_helpers.clear)
os.register_at_fork(after_in_child=_abandoned.clear)


def _remove_leftover(temporary: Path) -> None:
    """Remove the temporary file that a killed save has left.

    :raises BlockingIOError: if another process is saving right now
    """
    try:
        file = os.open(temporary, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except OSError:  # another user's, or not a regular file
        os.unlink(temporary)
        return
    try:
        _lock(file)
        os.unlink(temporary)
    finally:
        os.close(file)


def _lock(file: int) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise


def _write(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in REFUSED:  # a share that cannot flush files still keeps checkpoints
            raise


def _absolute(folder: str | os.PathLike[str]) -> Path:
    try:
        path = Path(folder).expanduser().absolute()
        has_nul = b"\0" in os.fsencode(path)
    except RuntimeError as error:  # pathlib's: no HOME, or a user that /etc/passwd does not name
        reason = "no home folder is known; set HOME, or name a folder that this worker may write to"
        raise ArgumentError("folder", str(folder), reason) from error
    except (OSError, UnicodeError) as error:  # the working directory is gone; or the name cannot be encoded
        raise ArgumentError("folder", str(folder), f"no folder can have this name: {error}") from error
    if has_nul:
        raise ArgumentError("folder", str(folder), "a path cannot contain a NUL character; remove it")
    return path
