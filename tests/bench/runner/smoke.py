"""That the bench works: a few hundred requests per target, and a load that sees a wrong value.

For CI: nothing is said about times, and a peer that is not installed is left out.
"""

import os
from dataclasses import replace

import figures
import footprint
import report
import targets
from cells import Cell
from machine import BenchError, Ports, ask, description
from measure import Filler, Recorder, note, run_cell, run_load

KEYS = 1000
CELLS = (
    Cell("get-p1", ("redis", "nutcracker", "haproxy", "pannier", "pannier hits", "memory")),
    Cell("mget-10", ("redis", "nutcracker", "pannier"), workload="mget"),
    Cell("shop-p1", ("redis", "nutcracker", "pannier", "pannier shop"), workload="shop"),
    Cell("rate-2000", ("redis", "pannier"), rate=2000),
)


def cells_of_smoke():
    return [replace(cell, key_count=KEYS, connections=5) for cell in CELLS]


def require(condition, what):
    if not condition:
        raise BenchError(f"not so: {what}")
    note(f"  ok: {what}")


def load_sees_a_wrong_value(bench, cell):
    ask(bench.redis_port, "SET", "cart:000000000007", "x" * 100)
    try:
        run_load(bench, cell, bench.redis_port, ["--sweep", "--seconds", "0", "--warm-up", "0"])
    except BenchError as error:
        return "wrong reply" in str(error)
    return False


def check(bench):
    recorder = Recorder()
    filler = Filler(bench)
    cells = cells_of_smoke()
    for cell in cells:
        filler.fill(cell)
        run_cell(bench, cell, recorder, rounds=1, seconds=0.1)
    require(not recorder.failures, "every cell was measured and every reply was right")
    results = {"runs": recorder.runs}
    got = figures.Figures(results)
    for cell in cells:
        for target in filter(targets.available, cell.targets):
            # The load ends when all that it sent is answered; how much that is no busy machine tells.
            sent = sum(sum(run["sent"].values()) for run in got.runs(cell.name, target))
            require(sent > 0, f"{cell.name}: {target} answers")
    executed = got.joined("get-p1", "pannier")
    require(executed >= 1, f"upstream executes all that was sent, {executed:.3f} times")
    # Not nothing: on a busy machine a lost probe makes the near cache ask again.
    heard = got.joined("get-p1", "pannier hits")
    require(heard < 0.5, f"most hits are answered from memory, {heard:.0%} went upstream")
    results["footprint"] = footprint.measure_footprint(bench, cells[0], idle_seconds=0.1, starts=1)
    require(load_sees_a_wrong_value(bench, cells[0]), "the load sees a wrong value")
    return results


def run(options):
    try:
        check_all(options)
    except BenchError as error:
        note(f"  {error}")
        return 1
    return 0


def check_all(options):
    with footprint.temporary_folder() as scratch:
        bench = targets.Bench(options.root, options.build, scratch,
                              Ports(options.first_port, options.last_port))
        try:
            bench.start_redis()
            results = check(bench)
        finally:
            if bench.redis:
                bench.redis.stop()
        results.update(mode="smoke", revision="-", date="-", machine=description(), elapsed=0,
                       busy_after=0, failures=[])
        with open(report.write(results, scratch), encoding="utf-8") as file:
            require("## Bars" in file.read(), "the report is written")
        require(os.path.getsize(os.path.join(scratch, "results.md")) > 1000, "and says something")
