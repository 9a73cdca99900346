"""`SharedFile`: the file of a value by path, with how it is to be opened."""

from __future__ import annotations

import os

__all__ = ["SharedFile"]


class SharedFile:
    """The file of a value by path, for `at=` and `value_at`, where the path alone will not do.

    The file holds one value. It is made by the first process that opens it with an initial member, and lives as long as
    a process uses it: the first one after that begins it anew. It is never deleted.

    Args:
        path: where it lies, on a local file system; made absolute now.
        keep: go on with what the file holds if nobody uses it, instead of beginning anew.
        mode: the permissions of the file, if it is made. Those that let others write, or that another user has made,
            are refused unless `mode` says that the group or others take part.
        readonly: open without the right to write. Such a process does not count as one that uses the value. It needs
            no right to write to the file; it waits by looking again and again.

    Raises:
        TypeError: an argument is of the wrong kind.
        ValueError: `mode` is no set of permissions, or lacks the owner's own to read and write.

    Example:
        >>> SharedFile("/run/worker/status", mode=0o660)
        SharedFile('/run/worker/status', mode=0o660)
    """

    __slots__ = ("keep", "mode", "path", "readonly")

    path: str
    keep: bool
    mode: int
    readonly: bool

    def __init__(
        self, path: str | os.PathLike[str], *, keep: bool = False, mode: int = 0o600, readonly: bool = False
    ) -> None:
        given = os.fspath(path)  # a TypeError of its own
        if not isinstance(given, str):
            message = f"expected a path as str or os.PathLike, not {type(path)}"
            raise TypeError(message)
        if not given or "\0" in given or given.endswith(os.sep):
            message = f"expected the path of a file, not {given!r}"
            raise ValueError(message)
        if type(mode) is not int:
            message = f"mode must be an int such as 0o660, not {type(mode)}"
            raise TypeError(message)
        if mode & ~0o666 or mode & 0o600 != 0o600:
            message = f"mode must be permissions to read and write, such as 0o660, that include 0o600; not {mode:#o}"
            raise ValueError(message)
        self.path = os.path.abspath(given)
        self.keep, self.mode, self.readonly = bool(keep), mode, bool(readonly)

    def __repr__(self) -> str:
        parts = [repr(self.path)]
        parts += [f"{name}=True" for name in ("keep", "readonly") if getattr(self, name)]
        if self.mode != 0o600:
            parts.append(f"mode={self.mode:#o}")
        return f"SharedFile({', '.join(parts)})"
