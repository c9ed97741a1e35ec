"""Lookups as Python starts and awaits them. Rate class: lookup.

Theory of operation. A Walk opens a branch on every core. `LookupSlots.step` has each slot that changed decided, by
the compiled policy or a machine of its own, and tells its branch of results and of the end. A branch that has ended
frees its slot, leaves its packed result with the walk and lets go of it, so that nothing is left for the garbage
collector; the last one ends the walk, which makes the report and answers who awaits it.
Branches and results stand in chains, as there is hardly ever more than one: a list would be two more objects for each
lookup, and for the collector to look at.
Never: two slots of one branch, a report before every branch has ended, an answer to a future that is done already.
What a report is and what a failure is are passed in: nothing here knows them.
Memory is bounded by the peers a shortlist keeps.
"""
cimport cython

from fastdht._ext.findings cimport Findings, Result
from fastdht._ext.state cimport State

cdef extern from "Python.h":
    ctypedef struct PyTypeObject:
        object (*tp_new)(PyTypeObject* cls, object arguments, void* keywords)

LEFT_FIRST, LEFT_EVENTS, LEFT_TO_SEND, LEFT_PUTS, LEFT_REFUSED, LEFT_ROOM = FIRST, EVENTS, TO_SEND, PUTS, REFUSED, ROOM

cdef enum:
    CLOSEST_KEPT = 16           # of a lookup's answers: a write goes to eight that gave a token


cdef class LookupSlots:
    """Who decides and who is told, for each of `lookups` slots of a core.

    engine: has kick, add_reader and forget_reader. clock: gives µs. report_class: of Findings. make_failure(report):
    what awaiting raises when nobody answered. make_endpoint(packed): what iterating gives. outcomes: how a lookup ended,
    by the phase of machine.pxd. `now_us`: of the batch that is worked on, or was last.
    """

    def __init__(self, Core core not None, engine, clock, int lookups, *, new_future, type report_class not None,
                 make_failure, make_endpoint, tuple outcomes not None):
        self.core = core
        self.engine = engine
        self.clock = clock
        self.new_future = new_future
        self.report_class = report_class
        self.make_failure = make_failure
        self.make_endpoint = make_endpoint
        self.outcomes = outcomes
        self.machines = [None] * lookups
        self.owners = [None] * lookups

    def step(self, int64_t now_us) -> None:
        """Step each lookup that has changed."""
        self.core.step_lookups(self.owners, now_us, self.machines)

    def turn(self, int64_t now_us, bint is_crowded) -> int:
        """Do what time and the last batch demand, in one call: stalls, timeouts, steps. What is left, as bits of LEFT_*.

        While events wait, or callers for a place (`is_crowded`), nothing is done: time may add to the former, and what
        becomes free belongs to the latter.
        """
        return self.take_turn(now_us, is_crowded)

    cdef int take_turn(self, int64_t now_us, bint is_crowded) except -1:
        cdef State state = self.core.state
        if state.event_count or is_crowded:
            return FIRST
        self.core.advance(now_us)
        if state.shortlists.dirty_count:
            self.core.step_lookups(self.owners, now_us, self.machines)
        return ((EVENTS if state.event_count else 0) | (TO_SEND if state.outbox.count else 0)
                | (PUTS if state.has_table and state.parked.waiting_count else 0))

    def open(self, machine, owner, int method, target, config, seeds) -> int:
        """Start a lookup that `machine` decides, or the built-in policy if None; `owner` is told of its end.

        Its slot, or -1 when all are in use.
        """
        return self.place(machine, owner, method, target, config, self.clock(), seeds, False, False, False, 0)

    def finish(self, uint32_t slot) -> Result:
        """End a lookup at once: nothing more is asked for it. What it knew, as Core.finish_lookup packs it."""
        return self.free(slot)

    def close(self) -> None:
        """Let go of the engine, which holds this: what is as large should not wait for the garbage collector."""
        self.engine = None
        self.is_kicked = True           # and nothing kicks it again

    cdef int place(self, machine, owner, int method, target, config, int64_t now_us, seeds, bint noseed, bint is_fixed,
                   bint scrape, uint32_t reader) except -2:
        cdef int slot
        cdef Settings* chosen = &self.settings
        if config is not self.config:
            self.load(config)
        slot = self.core.open_lookup(method, target, chosen.width, chosen.wide_width, chosen.subnet_limit,
                                     chosen.max_queries, now_us + chosen.deadline_us, now_us, seeds, noseed, is_fixed,
                                     scrape, reader, len(seeds) if is_fixed else chosen.alpha)
        if slot >= 0:
            self.machines[slot] = machine
            self.owners[slot] = owner
            if not self.is_kicked:
                self.engine.kick()
        return slot

    cdef int load(self, config) except -1:
        """Read a configuration once, as most lookups share it."""
        self.config = None
        self.settings.alpha = config.alpha
        self.settings.width = config.width
        self.settings.wide_width = config.wide_width
        self.settings.subnet_limit = config.subnet_limit
        self.settings.max_queries = config.max_queries
        self.settings.deadline_us = config.deadline_us
        self.config = config
        return 0

    cdef Result free(self, uint32_t slot):
        self.machines[slot] = self.owners[slot] = None
        return self.core.finish_lookup(slot, CLOSEST_KEPT)


@cython.freelist(64)
cdef class Branch:
    """One family's part of a walk: told of results and its end by the core, of answers by the engine."""

    def on_results(self) -> None:
        if self.walk is not None:
            self.walk.wake()

    def on_finished(self) -> None:
        self.finish()

    def on_answer(self, outcome) -> None:
        if self.walk is not None:
            self.walk.on_outcome(outcome, self.slots.clock)

    def on_failed(self, error) -> None:
        if self.walk is not None:
            self.walk.error = error
        self.finish()

    cdef int finish(self) except -1:
        """Free the slot, leave what it knew with the walk, and let go of it."""
        cdef Walk walk = self.walk
        cdef Result result
        if walk is None:
            return 0
        self.walk = None
        if self.reader and self.slots.engine is not None:
            self.slots.engine.forget_reader(self.reader)
        if walk.found is not None:
            walk.collect(self)
        self.phase = self.slots.core.state.shortlists.lists[self.slot].phase
        result = self.slots.free(self.slot)
        result.other = walk.results
        walk.results = result
        walk.running -= 1
        return walk.end(self.slots) if walk.running == 0 else 0


@cython.freelist(64)
cdef class Walk:
    """One traversal and what it has found so far. `on_end(walk)` is called at its end, before who awaits it."""

    def __init__(self, target, config, on_end=None):
        self.prepare(target, config, on_end)

    cdef int prepare(self, target, config, on_end) except -1:
        self.target = target
        self.config = config
        self.on_end = on_end
        return 0

    def start(self, list slots not None, int method, seeds=(), *, bint is_fixed=False, bint noseed=False,
              bint scrape=False, bint is_read=False) -> bool:
        """Open a branch in every one of `slots`; False when none had a free slot.

        `seeds` are compact endpoints, asked alone when `is_fixed`. `is_read`: on_outcome(outcome, clock) is called with
        each answer that holds more than nodes.
        """
        return self.open_branches(slots, method, seeds, is_fixed, noseed, scrape, is_read)

    cdef bint open_branches(self, list slots, int method, seeds, bint is_fixed, bint noseed, bint scrape,
                            bint is_read) except -1:
        cdef LookupSlots each
        cdef Branch branch
        cdef LookupSlots first = slots[0]
        self.started_us = first.clock()
        self.new_future = first.new_future
        for each in slots:
            branch = Branch.__new__(Branch)
            branch.slots = each
            branch.walk = self
            if is_read:
                branch.reader = each.engine.add_reader(branch.on_answer)
            branch.slot = each.place(None, branch, method, self.target, self.config, self.started_us, seeds,
                                     noseed, is_fixed, scrape, branch.reader)
            if branch.slot >= 0:
                branch.other = self.branches
                self.branches = branch
                self.running += 1
            elif is_read:
                each.engine.forget_reader(branch.reader)
        return self.running > 0

    def cancel(self) -> None:
        """Stop all traffic of the walk at once."""
        cdef Branch branch = self.branches      # which the end of the last one lets go of
        self.is_cancelled = True
        while branch is not None:
            branch.finish()
            branch = branch.other

    def values(self):
        """Every peer found so far, each once, in the order they came."""
        cdef Branch branch = self.branches
        if self.found is None:
            if self.report is not None:
                return self.report.values
            self.found, self.known = [], set()
        while branch is not None:
            if branch.walk is not None:
                self.collect(branch)
            branch = branch.other
        return self.found

    cdef int collect(self, Branch branch) except -1:
        for packed in branch.slots.core.lookup_values(branch.slot):
            if packed not in self.known:
                self.known.add(packed)
                self.found.append(branch.slots.make_endpoint(packed))
        return 0

    cdef int end(self, LookupSlots slots) except -1:
        """Every branch has ended: make the report, and tell."""
        cdef int64_t ended_us = slots.clock() if self.is_cancelled else slots.now_us
        cdef PyTypeObject* report_type = <PyTypeObject*>slots.report_class
        cdef Findings report = report_type.tp_new(report_type, (), NULL)        # without __init__ and its arguments
        report.fill(self.target, self.outcome(slots), ended_us - self.started_us, self.results)
        self.report = report
        self.make_failure = slots.make_failure
        self.branches = None
        if self.registry is not None and self.registry.get(self.target) is self:
            del self.registry[self.target]
        if self.on_end is not None:
            self.on_end(self)
        if self.caller is not None:
            self.answer()
        if self.waiters is not None:
            self.wake()
        return 0

    cdef object outcome(self, LookupSlots slots):
        """The first that is not as it should be decides."""
        cdef Branch branch = self.branches
        outcome = "cancelled" if self.is_cancelled else "done"
        while branch is not None and outcome == "done":
            outcome = slots.outcomes[branch.phase]
            branch = branch.other
        return outcome

    def ended(self):
        """A future of the report, or of the error that awaiting the lookup raises."""
        return self.future_of_end()

    cdef object future_of_end(self):
        future = self.new_future()
        if self.caller is None:
            self.caller = future
        elif self.callers is None:
            self.callers = [future]
        else:
            self.callers.append(future)
        if self.report is not None:
            self.answer()
        return future

    def waiter(self):
        """A future that ends with the next news."""
        cdef Branch branch = self.branches
        future = self.new_future()
        if self.waiters is None:
            self.waiters = [future]
            while branch is not None:
                if branch.walk is not None:
                    branch.slots.core.watch_lookup(branch.slot)
                branch = branch.other
        else:
            self.waiters.append(future)
        return future

    def wake(self) -> None:
        """Tell who wait for any news."""
        waiters, self.waiters = self.waiters, None
        for future in waiters or ():
            if not future.done():
                future.set_result(None)

    def failure(self):
        """What a caller of the ended walk should see raised, or None."""
        if self.error is not None or self.report.responses or self.report.outcome == "cancelled":
            return self.error
        return self.make_failure(self.report)

    cdef int answer(self) except -1:
        caller, self.caller = self.caller, None
        callers, self.callers = self.callers, None
        failure = self.failure()
        tell(caller, self.report, failure)
        for future in callers or ():
            tell(future, self.report, failure)
        return 0


cdef int tell(future, report, failure) except -1:
    if future.done():                   # its caller has given up
        return 0
    if failure is None:
        future.set_result(report)
    else:
        future.set_exception(failure)
    return 0
