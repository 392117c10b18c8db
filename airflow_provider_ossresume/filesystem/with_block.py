"""Whether a ``with`` block is being left by an exception, for a file that is closed by a layer that does not say why.

``fsspec.open``, pandas and Python's own text and buffer layers close their files the same way at a block's end and
after an exception. ``sys.exc_info`` tells that there is an exception, but not whether it leaves a block, or is handled
where the file is closed: there, to close it means to publish it. Only the frames above tell the two apart.

What it needs of them is documented, by ``inspect`` and ``dis``. An interpreter that has no frames, or other byte code,
publishes what is closed, as it would without this module.
"""

from __future__ import annotations

import dis
import inspect
import sys
from types import FrameType

_WITH_EXCEPT_START = dis.opmap.get("WITH_EXCEPT_START", -1)  # calls a block's __exit__ with an exception
_EXIT_METHODS = ("__exit__", "__aexit__")


def exception_leaving_with_block(*, handled: BaseException | None) -> BaseException | None:
    """Return the exception that leaves a block of this thread just now, or None.

    What is called in an ``except`` or a ``finally`` of its own is not taken for one: there, to close a file means to
    publish it.

    :param handled: an exception that was being handled when the file was opened, and so says nothing of it
    """
    error = sys.exc_info()[1]
    if error is None or error is handled:
        return None
    frame = inspect.currentframe()
    while frame is not None:
        if _leaves(frame) or _received(frame, error):
            return error
        frame = frame.f_back
    return None


def _leaves(frame: FrameType) -> bool:
    return frame.f_code.co_code[frame.f_lasti] == _WITH_EXCEPT_START


def _received(frame: FrameType, error: BaseException) -> bool:
    """Return whether it is an ``__exit__`` that got the exception, or one that it was raised from or after.

    The caller's instruction is another one where ``__exit__`` is called by name, or awaited.
    """
    if frame.f_code.co_name not in _EXIT_METHODS:
        return False
    known = set()
    at: BaseException | None = error
    while at is not None and id(at) not in known:
        known.add(id(at))
        at = at.__context__
    arguments = inspect.getargvalues(frame)
    names = [*arguments.args[1:], *([arguments.varargs] if arguments.varargs else [])]
    values = [arguments.locals.get(name) for name in names]
    return any(id(each) in known for value in values for each in (value if isinstance(value, tuple) else (value,)))
