"""Detects that an exception is leaving a ``with`` block, for a file that another layer closes without passing it on.

``fsspec.open``, pandas and Python's text and buffer layers close a file in the same way at the end of a block and after
an exception. ``sys.exc_info`` shows that there is an exception, but not whether it leaves the block or is being handled
by the code that closes the file. In the second case, closing must publish the file. Only the stack frames show which
case it is.

This uses only documented features of ``inspect`` and ``dis``. On an interpreter without frames, or with other byte
code, a closed file is published, as it would be without this module.
"""

from __future__ import annotations

import dis
import inspect
import sys
from types import FrameType

_WITH_EXCEPT_START = dis.opmap.get("WITH_EXCEPT_START", -1)  # calls the __exit__ of a block with an exception
_EXIT_METHODS = ("__exit__", "__aexit__")


def exception_leaving_with_block(*, handled: BaseException | None) -> BaseException | None:
    """Return the exception that is leaving a ``with`` block of this thread right now; None if there is none.

    A call from within an ``except`` or ``finally`` block does not count, because closing a file there publishes it.

    :param handled: an exception that was being handled already when the file was opened; it does not count
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
    """Return whether the frame is an ``__exit__`` method that received the exception, or one in its context.

    The caller's instruction does not show that if ``__exit__`` is called by name, or awaited.
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
