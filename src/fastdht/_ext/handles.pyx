"""What callers hold: the walks of a node that they share, and each one's own hold on its walk. Rate class: lookup.

Calls with the same target share a walk, and its traffic stops when the last handle has been cancelled.
"""
cdef extern from "Python.h":
    ctypedef struct PyTypeObject:
        object (*tp_new)(PyTypeObject* cls, object arguments, void* keywords)

cdef enum:
    METHODS = 8                 # of krpc.Method
    KINDS = 4 * METHODS         # of walks that callers may share: by method and two flags


cdef class Walks:
    """The walks of one node that run. `entries()`: compact endpoints to begin with while every table is empty."""

    def __init__(self, entries):
        self.slots = []
        self.running = [{} for _ in range(KINDS)]
        self.entries = entries

    def join(self, type handle_class not None, make_walk, int method, target, config, bint noseed, bint scrape, bint is_read):
        """A `handle_class`, one of Handle, of the walk that runs for such a call, or of a new make_walk(target, config).

        None when no slot is free, or there are none. `is_read` as for Walk.start.
        """
        cdef dict running = self.running[(method % METHODS) << 2 | noseed << 1 | scrape]
        cdef Walk walk = running.get(target)
        cdef LookupSlots each
        if walk is not None and walk.config is config:
            return hold(handle_class, walk)
        if not self.slots:
            return None
        if make_walk is Walk:           # without its arguments' way through the interpreter
            walk = Walk.__new__(Walk)
            walk.prepare(target, config, None)
        else:
            walk = make_walk(target, config)
        seeds = ()
        for each in self.slots:
            if each.core.has_contacts():
                break
        else:
            seeds = self.entries()
        if not walk.open_branches(self.slots, method, seeds, False, noseed, scrape, is_read):
            return None
        walk.registry = running
        running[target] = walk
        return hold(handle_class, walk)

    def cancel(self) -> None:
        """Stop the traffic of all that can be joined."""
        cdef Walk walk
        for running in self.running:
            for walk in list(running.values()):
                walk.cancel()


cdef object hold(type handle_class, Walk walk):
    """What handle_class(walk) is, without its arguments' way through the interpreter."""
    cdef PyTypeObject* made = <PyTypeObject*>handle_class
    cdef Handle handle = made.tp_new(made, (), NULL)
    handle.walk = walk
    walk.handles += 1
    return handle


cdef class Handle:
    """One caller's hold on a walk, which stops when its last handle has been cancelled."""

    def __init__(self, Walk walk not None):
        self.walk = walk
        walk.handles += 1

    @classmethod
    def __class_getitem__(cls, _report):
        """Handle[R]: one whose report is an R, for type checkers."""
        return cls

    def __await__(self):
        return iter(self.walk.future_of_end())       # a future's __await__ by another name, which is a slot

    @property
    def report(self):
        """The report, once the lookup has ended."""
        return self.walk.report

    def done(self) -> bool:
        return self.walk.report is not None

    def cancel(self) -> None:
        """Give the lookup up; its traffic stops at once unless another caller shares it."""
        if not self.is_cancelled:
            self.is_cancelled = True
            self.walk.handles -= 1
            if not self.walk.handles and self.walk.report is None:
                self.walk.cancel()
            else:
                self.walk.wake()
