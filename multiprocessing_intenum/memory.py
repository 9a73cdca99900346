"""Keep shared memory alive for as long as another process may still write to it.

`multiprocessing` hands a block of its heap on as soon as the process that made it drops its last reference, and under
spawn unlinks a lock's name at that moment, although a child may still be using the one or about to open the other. So:

- what is alive when the process forks stays alive, because the child inherits it (`track`);
- what is pickled for a child stays alive (`pin`);
- what no other process has seen is freed as usual.
"""

from __future__ import annotations

import os
import weakref

__all__ = ["pin", "track"]


class _Ref(weakref.ref[object]):
    """A weak reference hashed by its own identity: a ctypes object has no hash to lend it."""

    __slots__ = ()
    __hash__ = object.__hash__
    __eq__ = object.__eq__


# No lock guards these two. Each is changed by single calls that are atomic with the GIL and without it, and `_forget`
# can run inside any of them, in the same thread, when the garbage collector happens to free something tracked.
_tracked: set[_Ref] = set()
_pinned: dict[int, object] = {}

_forget = _tracked.discard


def track(obj: object) -> None:
    """Keep `obj` alive for ever from the next fork on, if it is still alive by then.

    Costs half a microsecond, and the memory of a weak reference until `obj` dies.

    Args:
        obj: anything that can be weakly referenced: a ctypes object, a `multiprocessing` lock, an ordinary instance.

    Raises:
        TypeError: `obj` cannot be weakly referenced.
    """
    _tracked.add(_Ref(obj, _forget))


def pin(obj: object) -> None:
    """Keep `obj` alive for the life of this process. Pinning it again costs nothing.

    Args:
        obj: any object; called with what is being pickled for a child.
    """
    _pinned[id(obj)] = obj


def _pin_tracked() -> None:
    for ref in _tracked.copy():
        pin(ref())  # None, if it died just now, does no harm
        _forget(ref)


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    # Before the fork, since by the time of a hook after it other code may have dropped a value. Once more in the parent
    # after it, for what another thread made in between.
    os.register_at_fork(before=_pin_tracked, after_in_parent=_pin_tracked)
