"""``lsr eval`` and what belongs to it: the default command scores, the others are named."""

from __future__ import annotations

from service.commands.default_group import DefaultGroup
from service.commands.eval_cache import cache_command
from service.commands.eval_compare import compare_command
from service.commands.eval_gate import gate_command
from service.commands.eval_report import report_command
from service.commands.eval_rerun import rerun_command
from service.commands.evaluate import score_command

eval_command = DefaultGroup("eval", score_command)
for command in (cache_command, compare_command, gate_command, report_command, rerun_command):
    eval_command.add_command(command)
