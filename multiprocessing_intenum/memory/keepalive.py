"""Keep shared memory alive for as long as another process may still write to it.

`multiprocessing` reuses a block of its heap as soon as the process that made it drops its last reference, although a
child may still use the block. Under spawn it also unlinks the name of a lock, although a child may be about to open it.
So:

- An object that is alive when the process forks stays alive, because the child inherits it (`track`).
- An object that is pickled for a child stays alive (`pin`).
- An object that no other process has seen is freed as usual.
"""

from __future__ import annotations

import weakref

from multiprocessing_intenum import fork

__all__ = ["pin", "track"]


class _Ref(weakref.ref[object]):
    """A weak reference hashed by its own identity, because a ctypes object cannot be hashed."""

    __slots__ = ()
    __hash__ = object.__hash__
    __eq__ = object.__eq__


# No lock guards these two. Each change is one call, which is atomic with and without the GIL. A lock would not help
# against `_forget`: the garbage collector can run it in the same thread, in the middle of such a call.
_tracked: set[_Ref] = set()
_pinned: dict[int, object] = {}

_forget = _tracked.discard


def track(obj: object) -> None:
    """Keep `obj` alive for ever once this process forks, if `obj` is alive at that time.

    A call costs half a microsecond, and the memory of a weak reference until `obj` dies.

    Args:
        obj: anything that can be weakly referenced: a ctypes object, a `multiprocessing` lock, an ordinary instance.

    Raises:
        TypeError: `obj` cannot be weakly referenced.
    """
    _tracked.add(_Ref(obj, _forget))


def pin(obj: object) -> None:
    """Keep `obj` alive for the life of this process. Pinning it again costs nothing.

    Args:
        obj: any object that is being pickled for a child.
    """
    _pinned[id(obj)] = obj


def _pin_tracked() -> None:
    for ref in _tracked.copy():
        pin(ref())  # None if the object has just died; it does no harm to pin None
        _forget(ref)


# Pin before the fork, because other code may drop a value before a hook after the fork runs. Pin again in the parent
# after the fork, because another thread may have made a value in between.
fork.around(_pin_tracked)
