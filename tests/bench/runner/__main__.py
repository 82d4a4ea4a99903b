"""scripts/bench.sh builds and then runs this; `--help` tells the options."""

import argparse
import contextlib
import datetime
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import counts
import footprint
import micro
import report
import smoke
from cells import Cell, all_cells
from machine import Ports, busy_share, description
from measure import Filler, Recorder, attempt, note, run_cell
from targets import Bench

# seconds: measured, of one run; micro: of one part.
MODES = {
    "default": {"rounds": 5, "seconds": 0.4, "requests": 20_000, "starts": 5, "idle": 5,
                "connections": 1000, "micro": 0.2},
    "quick": {"rounds": 3, "seconds": 0.2, "requests": 8_000, "starts": 3, "idle": 1.5,
              "connections": 1000, "micro": 0.1},
    "cell": {"rounds": 5, "seconds": 1.0},
}


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench.sh")
    parser.add_argument("--quick", action="store_true", help="fewer cells, three rounds")
    parser.add_argument("--smoke", action="store_true", help="only that everything works")
    parser.add_argument("--cell", action="append", metavar="NAME",
                        help="only this cell; again: more")
    parser.add_argument("--list", action="store_true", help="the cells' names")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="of one measurement")
    parser.add_argument("--report", metavar="JSON", help="only make the report of raw results anew")
    parser.add_argument("--first-port", type=int)
    parser.add_argument("--last-port", type=int)
    parser.add_argument("--output", help="folder of the results")
    parser.add_argument("--root", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--build", required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


def revision(root):
    done = subprocess.run(["git", "-C", root, "rev-parse", "--short", "HEAD"], capture_output=True,
                          text=True, check=False)
    return done.stdout.strip() or "unknown"


def chosen_cells(options):
    cells = list(all_cells())
    if not options.cell:
        quick = [replace(cell, targets=cell.quick) for cell in cells if cell.quick]
        return quick if options.quick else cells
    known = {cell.name: cell for cell in cells}
    unknown = [name for name in options.cell if name not in known]
    if unknown:
        sys.exit(f"error: no cell is named {', '.join(unknown)}; --list names them")
    return [known[name] for name in options.cell]


@contextlib.contextmanager
def timed():
    begin = time.monotonic()
    yield
    note(f"    {time.monotonic() - begin:.0f} s")


def measure_all(bench, options, settings, results):
    recorder = Recorder()
    results["failures"] = recorder.failures
    results["runs"] = recorder.runs
    filler = Filler(bench)
    bench.start_redis()
    for cell in chosen_cells(options):
        with timed():
            if attempt(recorder, cell, "filling", lambda each=cell: filler.fill(each) or True):
                run_cell(bench, cell, recorder, rounds=options.rounds or settings["rounds"],
                         seconds=options.seconds or settings["seconds"])
    if options.cell:
        return
    extras = {
        "system_calls": lambda: counts.count_system_calls(bench, requests=settings["requests"]),
        "instructions": lambda: counts.count_instructions(
            bench, mode=results["mode"], requests=8_000),
        "footprint": lambda: footprint.measure_footprint(
            bench, Cell("hold", (), connections=settings["connections"]),
            idle_seconds=settings["idle"], starts=settings["starts"]),
        "redis_benchmark": lambda: micro.cross_check(bench, requests=settings["requests"] * 3),
        "micro": lambda: micro.run_micro(bench, seconds=settings["micro"]),
    }
    for name, action in extras.items():
        note(f"  {name}")
        with timed():
            results[name] = attempt(recorder, Cell(name, ()), "all", action)


def run(options, folder):
    mode = "cell" if options.cell else "quick" if options.quick else "default"
    results = {"mode": mode, "revision": revision(options.root), "machine": description(),
               "date": datetime.datetime.now().isoformat(timespec="minutes")}
    begin = time.monotonic()
    with footprint.temporary_folder() as scratch:
        bench = Bench(options.root, options.build, scratch,
                      Ports(options.first_port, options.last_port), folder)
        try:
            measure_all(bench, options, MODES[mode], results)
        finally:
            if bench.redis:
                bench.redis.stop()
    results["elapsed"] = time.monotonic() - begin
    results["busy_after"] = busy_share()
    with open(os.path.join(folder, "results.json"), "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
    return results


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `finally` stops what runs
    if options.list:
        print("\n".join(cell.name for cell in all_cells()))
        return 0
    if options.smoke:
        return smoke.run(options)
    folder = options.output or os.path.join(options.root, "build", "bench")
    os.makedirs(folder, exist_ok=True)
    if options.report:
        with open(options.report, encoding="utf-8") as file:
            results = json.load(file)
    else:
        results = run(options, folder)
    path = report.write(results, folder)
    with open(path, encoding="utf-8") as file:
        print(file.read())
    note(f"report: {path}")
    return 1 if results["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
