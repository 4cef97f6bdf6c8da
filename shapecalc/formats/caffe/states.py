"""Which layers a net has in a phase: ``include`` and ``exclude`` rules (Caffe net.cpp, FilterNet, StateMeetsRule)."""

from __future__ import annotations

from typing import NamedTuple

from ...errors import ModelError, UsageError
from .. import Options
from .view import View

PHASES = {"TRAIN": 0, "TEST": 1}


class State(NamedTuple):
    """What a net is built for: its phase, its stages, its level."""

    phase: str
    stages: frozenset[str]
    level: int

    def meets(self, rule: View) -> bool:
        """Whether a rule holds: phase, level, all of its stages and none of its not_stages."""
        return (
            rule.choice("phase", PHASES, self.phase) == self.phase
            and rule.integer("min_level", self.level) <= self.level <= rule.integer("max_level", self.level)
            and self.stages.issuperset(rule.texts("stage"))
            and self.stages.isdisjoint(rule.texts("not_stage"))
        )

    def keeps(self, layer: View) -> bool:
        """Whether a layer is part of the net; raises ModelError where it has rules of both kinds."""
        includes, excludes = layer.views("include"), layer.views("exclude")
        if includes and excludes:
            raise ModelError(
                f"layer {layer.text('name')!r} has both include and exclude rules",
                "E203",
                location=f"{layer.file}:{layer.all('include')[0].line}",
                hint="keep either; Caffe takes one kind",
            )
        met = [self.meets(rule) for rule in includes or excludes]
        return any(met) if includes else not any(met)


def state_of(net: View, options: Options) -> State:
    """The state a caller asks for: stages besides those the file names, and a level in the place of the file's."""
    if options.phase not in PHASES:
        raise UsageError(f"no phase {options.phase!r}", "E002", hint="one of TRAIN, TEST")
    own = net.view("state")
    level = own.integer("level", 0) if options.level is None else options.level
    return State(options.phase, frozenset(options.stages).union(own.texts("stage")), level)
