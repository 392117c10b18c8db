"""The meaning of file system error numbers: whether an error is transient, and the next step."""

from __future__ import annotations

import errno

# Errors that may go away: a crashed mount, a server that does not respond, a process with too many open files.
PASSING = frozenset({
    errno.ENOTCONN, errno.ECONNABORTED, errno.ESTALE, errno.EIO, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH,
    errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN,
})  # fmt: skip

# The file system does not support the operation: CIFS, VirtualBox, FUSE.
REFUSED = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS})

NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS})

_ADVICE = {
    errno.ENOTCONN: "the mount has crashed; unmount it and mount it again",
    errno.ECONNABORTED: "the mount has crashed; unmount it and mount it again",
    errno.ESTALE: "the file server has replaced or lost it; if this persists, mount the share again",
}


def reason(error: BaseException) -> str:
    """Return what went wrong, without the path, and the next step if it is known."""
    if not isinstance(error, OSError):
        return str(error)
    said = error.strerror or str(error)
    advice = _ADVICE.get(error.errno or 0)
    return f"{said} ({advice})" if advice else said


def is_passing(error: BaseException) -> bool:
    """Return whether a later try may succeed with the same arguments."""
    return isinstance(error, OSError) and error.errno in PASSING
