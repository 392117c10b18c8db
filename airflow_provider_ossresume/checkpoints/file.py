"""Checkpoints as files: for use without Airflow, and for workers that share a folder."""

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

# Seconds. A stop is not heard while they last, what is under way has one to end, and then the last state is saved; all
# that within five, as Airflow 3 kills the task after them.
LOAD_TIME = 3.0
SAVE_TIME = 2.0
HANGING = 3.0  # what has taken so long is not waited for any more: by the next call for its checkpoint either
LINGERING = 0.5  # seconds that a thread waits for the next thing to do
# As a regular expression: what a killed save leaves, 0.1's under random names.
TEMPORARY_FILE = rb"\.%s\.[a-z0-9_]{8}" % KEY.encode()


class FileCheckpointStore:
    """Keeps each checkpoint in a file of its own, readable by its owner only, written whole or not at all.

    A disk may take its time, and a share may hang. So another thread asks it: the one that calls can be interrupted,
    and what is not done in time (4 seconds for a load, 2 for a save or a delete) counts as failed. A save may get done
    yet; the next call for the same checkpoint waits until it has ended.

    :param folder: made at the first save; by default ``~/.ossresume``
    :raises ArgumentError: when there is no such folder: ``~`` leads nowhere, or the name is impossible
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self.folder = _absolute("~/.ossresume" if folder is None else folder)

    def load(self, key: str) -> str | None:
        found = self.load_first((key,))
        return found[1] if found else None

    def load_first(self, keys: Sequence[str]) -> tuple[str, str] | None:
        """Return the first of the keys under which a checkpoint lies, with its text: one thread looks for all."""
        paths = [self._path(key) for key in keys]
        return _beside(paths, lambda call: self._load_first(keys), within=LOAD_TIME)

    def save(self, key: str, text: str) -> None:
        _beside([self._path(key)], lambda call: self._save(key, text), within=SAVE_TIME)

    def delete(self, key: str) -> None:
        _beside([self._path(key)], lambda call: self._delete(key, call), within=SAVE_TIME)

    def _load_first(self, keys: Sequence[str]) -> tuple[str, str] | None:
        texts = ((key, self._load(key)) for key in keys)
        return next(((key, text) for key, text in texts if text is not None), None)

    def _load(self, key: str) -> str | None:
        try:
            return self._path(key).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            return ""  # no checkpoint of ours: whoever decodes it says so
        except OSError as error:
            raise StoreUnavailable(f"{self._path(key)} cannot be read: {error.strerror}") from error

    def _save(self, key: str, text: str) -> None:
        temporary = self._temporary_path(key)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _remove_left(temporary)
            file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                _lock(file)  # so that another try sees that this is no left one
                _write(file, text.encode())
                if not os.path.samestat(os.fstat(file), os.lstat(temporary)):
                    raise BlockingIOError(errno.EAGAIN, "another process saves it at this moment")
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
        if call.is_given_up:  # what lies there may be a later transfer's by now
            return
        try:
            path.unlink(missing_ok=True)
            with suppress(BlockingIOError):  # another try is saving its own at this moment
                _remove_left(self._temporary_path(key))
        except OSError as error:
            raise StoreUnavailable(f"{self._path(key)} cannot be removed: {error.strerror}") from error

    def keys(self) -> list[str]:
        """Return the keys of all checkpoints in the folder; other files are left out."""
        try:
            names = os.listdir(self.folder) if self.folder.exists() else []
        except OSError as error:
            raise StoreUnavailable(f"{self.folder} cannot be listed: {error.strerror}") from error
        return sorted(match[1] for name in names if (match := re.fullmatch(rf"({KEY})\.json", name)))

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"

    def _temporary_path(self, key: str) -> Path:
        return self.folder / f".{key}.new_save"  # one name for all, so the next save removes it

    def place(self, key: str) -> str:
        """Return what to look for on the disk."""
        return f"file {self._path(key)}"

    def __str__(self) -> str:
        return f"file {self.folder}"


class _Call:
    """What a thread of its own does on the disk.

    :ivar is_given_up: nobody waits for it any more
    :ivar hangs_at: when nobody is to wait for its end any more, on the monotonic clock
    """

    def __init__(self) -> None:
        self.is_given_up = False
        self.hangs_at = time.monotonic() + HANGING
        self.has_ended = threading.Event()
        self._token: deque[None] = deque((None,))  # its methods are atomic

    def begin(self) -> bool:
        """True for the first who asks: it is that one's to make, or not to be made at all."""
        try:
            self._token.pop()
        except IndexError:
            return False
        return True


_given_up: dict[Path, _Call] = {}  # by the checkpoint's path: what may still be under way


def _beside(paths: Sequence[Path], function: Callable[[_Call], R], *, within: float) -> R:
    """Return what the function returns, called by another thread; one at a time for each path.

    :param within: seconds to wait for it, and for what is still under way for one of the paths
    :raises StoreUnavailable: when they are not enough
    """
    done: SimpleQueue[Callable[[], R]] = SimpleQueue()
    ends = time.monotonic() + within
    for path in paths:
        before = _given_up.get(path)
        if before is not None and not before.has_ended.wait(min(ends, before.hangs_at) - time.monotonic()):
            raise StoreUnavailable(f"the disk is still at work on {path}")
        _given_up.pop(path, None)
    call = _Call()

    def run() -> Callable[[], None]:
        if not call.begin():
            return lambda: None
        try:
            result = function(call)
        except BaseException as error:  # whatever it is, the thread that waits raises it
            failure = error

            def fail() -> R:
                raise failure

            return lambda: done.put(fail)
        finally:
            call.has_ended.set()
        return lambda: done.put(lambda: result)

    try:
        _Helper.do(run)
        outcome = done.get(timeout=max(0.0, ends - time.monotonic()))
    except BaseException as error:  # a signal's too
        call.is_given_up = True
        if not call.begin():
            _given_up.update(dict.fromkeys(paths, call))
        if isinstance(error, Empty):
            raise StoreUnavailable(f"the disk has not answered within {within:g} seconds") from None
        raise
    return outcome()


class _Helper:
    """A thread that asks the disk. It waits a moment for the next thing to do: a transfer asks several times, and to
    start a thread takes longer than to read a small file."""

    def __init__(self) -> None:
        self._work: SimpleQueue[Callable[[], Callable[[], None]]] = SimpleQueue()

    @classmethod
    def do(cls, function: Callable[[], Callable[[], None]]) -> None:
        """Have the function called, by a thread that waits if there is one; what it returns is called at the end."""
        try:
            helper = _waiting.pop()
        except IndexError:
            helper = cls()
            helper._work.put(function)
            try:
                threading.Thread(target=helper._serve, name="oss-checkpoint", daemon=True).start()
            except RuntimeError:  # no more threads, or the process is about to end
                function()()
        else:
            helper._work.put(function)

    def _serve(self) -> None:
        function = self._work.get()
        while True:
            hand_over = function()
            _waiting.append(self)  # first: who has the outcome may ask the next thing at once
            hand_over()
            del function, hand_over  # else what they hold would live as long as this waits
            try:
                function = self._work.get(timeout=LINGERING)
            except Empty:
                try:
                    _waiting.remove(self)
                except ValueError:  # somebody has taken it just now, and gives it something to do
                    function = self._work.get()
                else:
                    return


_waiting: deque[_Helper] = deque()  # its methods are atomic: whoever takes one out may give it something to do
# A forked child has none of the threads, and what they have under way ends in the parent only.
os.register_at_fork(after_in_child=_waiting.clear)
os.register_at_fork(after_in_child=_given_up.clear)


def _remove_left(temporary: Path) -> None:
    """Remove the temporary file that a killed save has left.

    :raises BlockingIOError: when another process is saving at this moment
    """
    try:
        file = os.open(temporary, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except OSError:  # another user's, or no file at all
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
        if error.errno not in REFUSED:  # a share that flushes no file keeps checkpoints all the same
            raise


def _absolute(folder: str | os.PathLike[str]) -> Path:
    try:
        path = Path(folder).expanduser().absolute()
        has_nul = b"\0" in os.fsencode(path)
    except RuntimeError as error:  # pathlib's: no HOME, or a user that /etc/passwd does not name
        reason = "no home folder is known; set HOME, or name a folder that this worker may write to"
        raise ArgumentError("folder", str(folder), reason) from error
    except (OSError, UnicodeError) as error:  # a working directory that is gone; a name that cannot be encoded
        raise ArgumentError("folder", str(folder), f"no such folder can be: {error}") from error
    if has_nul:
        raise ArgumentError("folder", str(folder), "a folder's name holds no NUL")
    return path
