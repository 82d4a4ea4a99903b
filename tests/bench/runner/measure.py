"""Runs the cells: each target of a cell in turn, round after round, with every reply checked."""

import json
import subprocess
import sys
from dataclasses import replace

import targets
from machine import BenchError, command_calls, processors, rss_kib

LOAD_TIMEOUT = 120  # seconds, for one run of the load generator


def note(text):
    print(text, file=sys.stderr, flush=True)


def load_arguments(bench, cell, port, extra=()):
    arguments = [bench.load, "--port", str(port), "--workload", cell.workload,
                 "--pipeline", str(cell.pipeline), "--value", str(cell.value),
                 "--keys", str(cell.keys), "--prefix", cell.prefix,
                 "--connections", str(cell.connections), "--mget-keys", str(cell.mget_keys)]
    return arguments + [str(each) for each in extra]


def on_load_cpu(arguments):
    return ["taskset", "-c", str(processors()[1])] + arguments


def run_load(bench, cell, port, extra=()):
    """One run of the load generator; what it tells."""
    done = subprocess.run(on_load_cpu(load_arguments(bench, cell, port, extra)),
                          capture_output=True, text=True, timeout=LOAD_TIMEOUT, check=False)
    if done.returncode != 0:
        raise BenchError(done.stderr.strip() or f"bench_load ends with {done.returncode}")
    return json.loads(done.stdout)


class Filler:
    """Fills the redis-server with the keys of a cell, once per set of keys."""

    def __init__(self, bench):
        self._bench = bench
        self._filled = set()

    def fill(self, cell):
        keys = (cell.workload == "shop", cell.prefix, cell.keys)
        if keys not in self._filled:
            run_load(self._bench, cell, self._bench.redis_port, ["--fill"])
            self._filled.add(keys)


def warm_cache(bench, cell, running):
    """Until a round over all keys asks the redis-server nothing, at most thirty of them.

    Over few connections: what is kept of their buffers is not the cell's. Without writes: the first
    batches leave behind the keys of a round.
    """
    few = replace(cell, connections=min(cell.connections, 8), workload="get", pipeline=1)
    for _ in range(30):
        before = sum_of_reads(bench)
        run_load(bench, few, running.port, ["--sweep", "--seconds", "0", "--warm-up", "0"])
        if sum_of_reads(bench) == before:
            return
    note(f"    {running.name}: the near cache does not hold all keys of {cell.name}")


def sum_of_reads(bench):
    calls = command_calls(bench.redis_port)
    return calls.get("get", 0) + calls.get("mget", 0)


def prepare(bench, cell, name):
    running = targets.start(bench, name, value=cell.value, workers=cell.workers,
                            layout=cell.layout)
    running.idle_rss_kib = rss_kib(running.pid)
    try:
        if name == "pannier hits":
            warm_cache(bench, cell, running)
    except Exception:
        running.stop()
        raise
    return running


def measure(bench, cell, running, seconds, extra=()):
    """One figure: what the load generator tells, the target's own cost first, then upstream's."""
    pids = [running.pid]
    if running.pid != bench.redis.pid:
        pids.append(bench.redis.pid)
    options = ["--watch", ",".join(map(str, pids)), "--warm-up", str(min(0.2, seconds / 2)),
               "--seconds", str(seconds), *extra]
    if cell.rate:
        options += ["--rate", str(cell.rate)]
    if running.name == "memory":
        options.append("--any-value")
    before = command_calls(bench.redis_port)
    told = run_load(bench, cell, running.port, options)
    after = command_calls(bench.redis_port)
    own = told["watched"][0]
    calls = {name: after.get(name, 0) - before.get(name, 0) for name in told["sent"]}
    return {**{key: told[key] for key in ("requests", "seconds", "kops", "load_cpu_us", "p50",
                                          "p95", "p99", "p999", "max", "sent")},
            "cpu_us": own["cpu_us"], "rss_kib": own["rss_kib"], "peak_kib": own["peak_kib"],
            "idle_rss_kib": getattr(running, "idle_rss_kib", None),
            "system_calls": own["system_calls"], "instructions": own["instructions"],
            "upstream_cpu_us": told["watched"][1]["cpu_us"] if len(pids) > 1 else None,
            "upstream_calls": calls}


class Recorder:
    """Collects runs and failures; the raw results."""

    def __init__(self):
        self.runs = []
        self.failures = []

    def add(self, cell, target, turn, result):
        self.runs.append({"cell": cell.name, "target": target, "round": turn, **result})

    def fail(self, cell, target, error):
        text = f"{cell.name}, {target}: {error}"
        note(f"    failed: {text}")
        self.failures.append(text)


def attempt(recorder, cell, name, action):
    try:
        return action()
    except (BenchError, OSError, ValueError, subprocess.SubprocessError) as error:
        recorder.fail(cell, name, error)
        return None


def run_cell(bench, cell, recorder, *, rounds, seconds):
    """Targets that only read stay up over all rounds; where there are writes, each is started for
    its turn, for a near cache that hears of the others' writes would cost redis-server time."""
    names = [name for name in cell.targets if targets.available(name)]
    note(f"  {cell.name}: {', '.join(names)}")
    up = {}
    try:
        if not cell.writes:
            for name in names:
                up[name] = attempt(recorder, cell, name, lambda: prepare(bench, cell, name))
        for turn in range(rounds):
            for name in names:
                result = attempt(recorder, cell, name,
                                 lambda: measure_turn(bench, cell, name, up, seconds))
                if result:
                    recorder.add(cell, name, turn, result)
    finally:
        for running in up.values():
            if running:
                running.stop()


def measure_turn(bench, cell, name, up, seconds):
    if not cell.writes:
        if up.get(name) is None:
            return None
        move_redis(bench, cell, name)
        return measure(bench, cell, up[name], seconds)
    running = prepare(bench, cell, name)
    try:
        return measure(bench, cell, running, seconds)
    finally:
        running.stop()


def move_redis(bench, cell, name):
    """Only layout B has redis-server on the load's processor, and only behind a proxy."""
    server, load = processors()
    targets.pin(bench.redis.pid, {load} if cell.layout == "B" and name != "redis" else {server})
