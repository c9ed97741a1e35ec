"""Does a DHT node keep to the BEPs? A black-box check of one node: questions, and what an answer must look like.

`verdicts` and `checks` say what a check is; `bep5`, `families`, `swarms`, `items` and `traffic` are tables of them;
`table` puts them in the order in which they are asked; `examine` asks them of a node through `asker`, a socket.
Rate class: command.
"""
from __future__ import annotations

from fastdht.conform.asker import Asker, open_asker
from fastdht.conform.examine import examine
from fastdht.conform.scene import Scene
from fastdht.conform.table import BEPS, CHECKS, select
from fastdht.conform.verdicts import Report, Result, Verdict

__all__ = ["BEPS", "CHECKS", "Asker", "Report", "Result", "Scene", "Verdict", "examine", "open_asker", "select"]
