"""`SharedFile`: the file of a value by path, and how to open it."""

from __future__ import annotations

import os

__all__ = ["SharedFile"]


class SharedFile:
    """The file of a value by path, for `at=` and `value_at`, if the path alone is not enough.

    The file holds one value. The first process that opens it with an initial member makes it. The value lives as long
    as a process uses it; the next process after that begins it anew. The library never deletes the file. If somebody
    else does while it is in use, the next write raises FileNotFoundError.

    Args:
        path: the path of the file, on a local file system. It is made absolute now.
        keep: if nobody uses the file, go on with what it holds instead of beginning it anew. It must hold an enum that
            contains the one of this process, or is contained in it.
        mode: the permissions of a new file. A file that others can write to, or that belongs to another user, is
            refused unless `mode` lets the group or others take part.
        readonly: open the file only to read it, which needs no right to write to it. Such a process does not count as
            a user of the value. It waits by looking again and again. If the file is replaced, it goes on with the new
            one, as soon as it waits, follows, or asks for the last changes.

    Raises:
        TypeError: an argument is of the wrong kind.
        ValueError: `path` can be no file; or `mode` lacks 0o600, or has other bits than those to read and write.

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
        given = os.fspath(path)  # it raises its own TypeError
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
