"""Amplification: what a node sends to an address that may be forged. No BEP limits it. Rate class: command.

A source is unproved until it has echoed a token, or answered a query: before that, whoever forges it makes the node
send to somebody else.
"""
from __future__ import annotations

from fastdht.conform.checks import Check, refuses
from fastdht.conform.scene import Answer, Raw, Scene
from fastdht.conform.verdicts import CONFORMS, Outcome, deviates, skipped

# Eight contacts of both families are 5.5 times the shortest question that may ask for them, and 50 peers beside eight
# contacts 7.5 times theirs: whoever sends ten times as much sends more than the BEPs ask for.
MOST_AMPLIFIED = 10


def ask_short(scene: Scene) -> Raw:
    """The shortest unknown method: 53 bytes, and most errors would be longer."""
    tid = scene.next_tid(2)
    return Raw(b"d1:ad2:id20:" + scene.id + b"e1:q1:x1:t2:" + tid + b"1:y1:qe", tid)


def judge_short(scene: Scene, answer: Answer) -> Outcome:
    asked = len(answer.question.datagram)
    if not answer.is_error:
        return refuses()(scene, answer)
    return CONFORMS if answer.size <= asked else deviates(f"an error of {answer.size} bytes to a query of {asked}")


def look_errors(scene: Scene) -> Outcome:
    short = scene.by_check.get("short-error")
    errors = [each for each in scene.answers if each.is_error and each is not short]
    if not errors:
        return skipped("it sent no error")
    worst = max(errors, key=lambda each: each.size - len(each.question.datagram))
    asked = len(worst.question.datagram)
    return CONFORMS if worst.size <= asked else deviates(f"an error of {worst.size} bytes to a query of {asked}")


def look_unproved(scene: Scene) -> Outcome:
    worst = max((each for each in scene.answers if each.question.is_unproved), default=None,
                key=lambda each: each.size / len(each.question.datagram))
    if worst is None:
        return skipped("our address was proved before any answer came")
    asked = len(worst.question.datagram)
    if worst.size <= MOST_AMPLIFIED * asked:
        return CONFORMS
    return deviates(f"{worst.size} bytes in answer to {asked}, {worst.size / asked:.0f} times as many; "
                    f"at most {MOST_AMPLIFIED}")


READS = (
    Check(0, "short-error", "an error that would be larger than its query is not sent", ask_short, judge_short,
          if_silent=CONFORMS),
)
LOOKS = (
    Check(0, "error-size", "no other error is larger than its query", look=look_errors),
    Check(0, "unproved", "an unproved source is sent at most ten times what it sent", look=look_unproved),
)
