"""What the errors of file systems mean, by their numbers."""

from __future__ import annotations

import errno

# A mount that has crashed, a server that does not answer, a process that has too much open: it may pass by itself.
PASSING = frozenset({
    errno.ENOTCONN, errno.ECONNABORTED, errno.ESTALE, errno.EIO, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH,
    errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN,
})  # fmt: skip

# What a file system answers that has no such operation: CIFS, VirtualBox, FUSE.
REFUSED = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS})

NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS})

_ADVICE = {
    errno.ENOTCONN: "the mount has crashed; unmount it and mount it again",
    errno.ECONNABORTED: "the mount has crashed; unmount it and mount it again",
    errno.ESTALE: "the file server has replaced or lost it; mount the share again if it stays so",
}


def reason(error: BaseException) -> str:
    """Return what went wrong, without the path, and what to do where that is known."""
    if not isinstance(error, OSError):
        return str(error)
    said = error.strerror or str(error)
    advice = _ADVICE.get(error.errno or 0)
    return f"{said} ({advice})" if advice else said


def is_passing(error: BaseException) -> bool:
    """True when a later try may find it mended though nobody changes an argument."""
    return isinstance(error, OSError) and error.errno in PASSING
