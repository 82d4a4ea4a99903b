"""Medians and ratios of what was measured. Ratios are made within one run of the bench only."""

import statistics


class Figures:
    """The results by cell and target; a missing one is None, and so is all that is made of it."""

    def __init__(self, results):
        self.results = results
        self._runs = {}
        for run in results["runs"]:
            self._runs.setdefault((run["cell"], run["target"]), []).append(run)

    def cells(self):
        return list(dict.fromkeys(cell for cell, _ in self._runs))

    def targets(self, cell):
        return [target for each, target in self._runs if each == cell]

    def runs(self, cell, target):
        return self._runs.get((cell, target), [])

    def values(self, cell, target, field):
        return [run[field] for run in self.runs(cell, target) if run.get(field) is not None]

    def median(self, cell, target, field="cpu_us"):
        values = self.values(cell, target, field)
        return statistics.median(values) if values else None

    def ratio(self, cell, target, other, field="cpu_us"):
        """The median over the rounds of the ratio within a round."""
        by_round = {run["round"]: run[field] for run in self.runs(cell, other)}
        ratios = [run[field] / by_round[run["round"]] for run in self.runs(cell, target)
                  if by_round.get(run["round"])]
        return statistics.median(ratios) if ratios else None

    def joined(self, cell, target):
        """Commands that upstream executed, for each that was sent: 1 where nothing was joined."""
        sent = sum(sum(run["sent"].values()) for run in self.runs(cell, target))
        executed = sum(sum(run["upstream_calls"].values()) for run in self.runs(cell, target))
        return executed / sent if sent else None

    def system_calls(self, cell, target):
        counts = self.results.get("system_calls") or {"cells": {}}
        return counts["cells"].get(cell, {}).get(target, {}).get("system_calls")

    def instructions(self, cell, target):
        """By the processor's counter where there is one, else by callgrind."""
        counted = (self.results.get("system_calls") or {"cells": {}})["cells"]
        hardware = counted.get(cell, {}).get(target, {}).get("instructions")
        callgrind = (self.results.get("instructions") or {"cells": {}})["cells"]
        return hardware or callgrind.get(cell, {}).get(target, {}).get("total")

    def functions(self, cell, target):
        """Instructions per request by function, with all that it calls."""
        return self._profile(cell, target, "functions")

    def modules(self, cell, target):
        """Instructions per request by module."""
        return self._profile(cell, target, "modules")

    def _profile(self, cell, target, kind):
        callgrind = (self.results.get("instructions") or {"cells": {}})["cells"]
        return callgrind.get(cell, {}).get(target, {}).get(kind, {})


def number(value, digits=3):
    """With about so many digits, and never fewer before the point than there are."""
    if value is None:
        return "–"
    before = len(str(int(abs(value))))
    return f"{value:,.{max(0, digits - before)}f}"


def divided(a, b):
    return a / b if a is not None and b else None
