"""Asks all checks of one node, one after another. Rate class: command.

Invariants: one question is out at a time; a question is put up to three times, so that a lost datagram is no
silence; what a check needs has conformed before it is asked. The exchange of datagrams is an argument.
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from fastdht import bencode
from fastdht.conform.checks import Ask, Check, misshapen
from fastdht.conform.scene import Answer, NoToken, Question, Raw, Scene, decode
from fastdht.conform.table import CHECKS
from fastdht.conform.verdicts import SILENT, Outcome, Report, Result, Verdict, skipped, unsupported
from fastdht.errors import NoResponse
from fastdht.sodium import SodiumMissing

TRIES = 3
HEARING = 2             # checks of BEP 5 that nobody leaves unanswered: after so much silence nobody is there

Exchange = Callable[[bytes, bytes], Awaitable[bytes | None]]
Listener = Callable[[Result], None]


class Examination:
    """One pass over the table. exchange: sends a datagram and returns the answer with that tid, or None."""

    def __init__(self, scene: Scene, exchange: Exchange, *, writes: bool = True) -> None:
        self.scene = scene
        self.queries = 0
        self._exchange = exchange
        self._writes = writes
        self._outcomes: dict[str, Outcome] = {}

    async def run(self, checks: Iterable[Check], listener: Listener | None = None) -> Report:
        """Raises NoResponse when nobody is there."""
        results = []
        for check in checks:
            outcome = await self._run_check(check)
            self._outcomes[check.name] = outcome
            results.append(Result(check.bep, check.name, check.rule, *outcome))
            if len(results) == HEARING and not self.scene.answers:
                raise NoResponse(f"{self.scene.remote} answers nothing: {self.queries} queries sent")
            if listener is not None:
                listener(results[-1])
        results.sort(key=lambda result: (result.bep == 0, result.bep))
        return Report(self.scene.remote, self.scene.node_id, self.scene.version, self._writes, self.queries, results)

    async def _run_check(self, check: Check) -> Outcome:
        obstacle = self._obstacle(check)
        if obstacle is not None:
            return obstacle
        if check.ask is None:
            assert check.look is not None, check.name
            return check.look(self.scene)
        try:
            for number, ask in enumerate(check.before, 1):
                await self._put(f"{check.name}/{number}", ask, TRIES)
            answer = await self._put(check.name, check.ask, TRIES if check.if_silent is SILENT else 1)
        except (NoToken, SodiumMissing) as error:
            return skipped(str(error))
        return check.if_silent if answer is None else self._judge(check, answer)

    def _obstacle(self, check: Check) -> Outcome | None:
        """Why it cannot be asked, if so."""
        if check.writes and not self._writes:
            return skipped("it writes, which was not wanted")
        for name in check.needs:
            verdict, reason = self._outcomes[name]
            if verdict is Verdict.UNSUPPORTED:
                return unsupported(reason)
            if verdict is not Verdict.CONFORMS:
                return skipped(f"needs {name}")
        return None

    def _judge(self, check: Check, answer: Answer) -> Outcome:
        assert check.judge is not None, check.name
        if not check.wants_silence and (wrong := misshapen(answer)):
            return wrong
        return check.judge(self.scene, answer)

    async def _put(self, name: str, ask: Ask, tries: int) -> Answer | None:
        for attempt in range(1, tries + 1):
            question = self._form(ask)
            self.queries += 1
            data = await self._exchange(question.datagram, question.tid)
            if data is not None:
                answer = Answer(data, decode(data), question, attempt)
                self.scene.learn(name, answer)
                return answer
        return None

    def _form(self, ask: Ask) -> Question:
        asked = ask(self.scene)
        if isinstance(asked, Raw):
            return Question(asked.datagram, asked.tid, "", b"", self.scene.is_unproved)
        arguments = asked.get("a", {})
        if arguments.get("token"):
            self.scene.is_unproved = False
        target = arguments.get("target") or arguments.get("info_hash") or b""
        return Question(bencode.encode(asked), asked["t"], asked.get("q", ""), target, self.scene.is_unproved)


async def examine(scene: Scene, exchange: Exchange, checks: Iterable[Check] = CHECKS, *, writes: bool = True,
                  listener: Listener | None = None) -> Report:
    """Ask them all; `listener` sees each result as it comes. Raises NoResponse when nobody is there."""
    return await Examination(scene, exchange, writes=writes).run(checks, listener)
