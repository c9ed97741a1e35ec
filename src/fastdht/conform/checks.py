"""What a check is: a question, and a judgement of its answer; and the judgements that many checks share.

Rate class: command. Invariants: a judgement sees an answer only if it is a message, with the question's `t`, of kind
`r` or `e`: `misshapen` has found nothing; a judgement without a question of its own sees what all answers have told.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastdht.conform.scene import Answer, Message, Raw, Scene
from fastdht.conform.verdicts import CONFORMS, SILENT, Outcome, deviates

Ask = Callable[[Scene], Message | Raw]
Judge = Callable[[Scene, Answer], Outcome]
Look = Callable[[Scene], Outcome]
PAD = {"pad": bytes(80)}        # for questions that earn an error: cautious nodes send none that is larger


@dataclass(frozen=True, slots=True)
class Check:
    """One rule of one BEP.

    rule: one clause, what must hold. ask: makes the question; without it, `look` judges what others have brought.
    before: questions whose answers only teach the scene, such as tokens. needs: checks that must have conformed.
    writes: whether it stores something. if_silent: the outcome when nothing arrives; unless that is SILENT, the
    question is put once.
    """

    bep: int
    name: str
    rule: str
    ask: Ask | None = None
    judge: Judge | None = None
    look: Look | None = None
    before: tuple[Ask, ...] = ()
    needs: tuple[str, ...] = ()
    writes: bool = False
    if_silent: Outcome = SILENT

    @property
    def wants_silence(self) -> bool:
        return self.judge is stays_silent


def misshapen(answer: Answer) -> Outcome | None:
    """What is wrong with any answer, whatever was asked; None if nothing is."""
    if not answer.message:
        return deviates("the answer is not a bencoded dictionary")
    echoed = answer.message.get(b"t")
    if echoed != answer.question.tid:
        return deviates(f"`t` was {answer.question.tid.hex()}, and returns as {shown(echoed)}")
    kind = answer.message.get(b"y")
    if kind not in (b"r", b"e"):
        return deviates(f"`y` of the answer is {shown(kind)}")
    if kind == b"r" and not answer.body:
        return deviates("`r` of the answer is missing, empty or no dictionary")
    return None


def shown(value: object) -> str:
    """A value from the network, short enough for a table."""
    if value is None:
        return "missing"
    if value == b"":
        return "empty"
    text = value.hex() if isinstance(value, bytes) else repr(value)
    kept = text if len(text) <= 44 else f"{text[:40]}…"
    return f"{kept} ({len(value)} bytes)" if isinstance(value, bytes) else kept


def refusal(answer: Answer) -> Outcome | None:
    """A deviation if it is an error where there was nothing to refuse."""
    if not answer.is_error:
        return None
    return deviates(f"error {answer.error_text}")


def accepts(scene: Scene, answer: Answer) -> Outcome:
    """A write is taken. If a first answer was lost, its repetition may be refused for its seq: it is stored."""
    if answer.attempt > 1 and answer.code in (301, 302):
        return CONFORMS
    return refusal(answer) or CONFORMS


def refuses(*codes: int) -> Judge:
    """Judges that it is an error with one of these codes; without codes, any error will do."""
    wanted = "an error" if not codes else f"error {' or '.join(map(str, codes))}"

    def judge(scene: Scene, answer: Answer) -> Outcome:
        if not answer.is_error:
            return deviates(f"answered as if nothing were wrong; {wanted} expected")
        if codes and answer.code not in codes:
            return deviates(f"error {answer.error_text}; {wanted} expected")
        return CONFORMS

    return judge


def stays_silent(scene: Scene, answer: Answer) -> Outcome:
    """For what must not be answered: any answer is one too many."""
    what = f"error {answer.error_text}" if answer.is_error else "a reply"
    return deviates(f"answered with {what}; such datagrams earn no answer")


def holds(answer: Answer, key: str, kind: type) -> Outcome | None:
    """A deviation unless `r` has this key, of this type."""
    value: Any = answer.body.get(key.encode())
    if isinstance(value, kind):
        return None
    return deviates(f"`{key}` is missing" if value is None else f"`{key}` is {shown(value)}")

