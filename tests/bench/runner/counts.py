"""System calls and user instructions per request, in short runs of their own: counting slows."""

import os
import re
import shutil
import signal
import subprocess
from dataclasses import replace

import profile_of
import targets
from cells import Cell
from machine import BenchError, Process, has, processors
from measure import load_arguments, measure, note, on_load_cpu, prepare

COUNTED = ("redis", "nutcracker", "haproxy", "pannier", "pannier shop", "pannier hits", "memory")
IN_CALLGRIND = {"default": ("nutcracker", "haproxy", "pannier", "pannier shop", "pannier hits",
                            "pannier classes-10", "pannier classes-200", "memory"),
                "quick": ("pannier", "pannier shop")}


def cells_of(names):
    return (Cell("count-p1", names), Cell("count-p16", names, pipeline=16))


def count_system_calls(bench, *, requests):
    """Per cell and target; with the means that was used: perf_event_open, else strace."""
    counts = {"means": "perf_event_open, raw_syscalls:sys_enter", "cells": {}}
    for cell in cells_of(COUNTED):
        figures = counts["cells"].setdefault(cell.name, {})
        for name in filter(targets.available, cell.targets):
            running = prepare(bench, cell, name)
            try:
                told = measure(bench, cell, running, 0.1,
                               ["--events", "--requests", str(of_cell(requests, cell))])
                if told["system_calls"] is None:
                    counts["means"] = "strace -c -f"
                    told["system_calls"] = strace_calls(bench, cell, running, requests)
                figures[name] = {key: told[key] for key in ("system_calls", "instructions")}
            finally:
                running.stop()
    return counts


def strace_calls(bench, cell, running, requests):
    if not has("strace"):
        return None
    path = os.path.join(bench.folder, "strace.txt")
    tracer = subprocess.Popen(["strace", "-c", "-f", "-p", str(running.pid), "-o", path],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        if "attached" not in tracer.stderr.readline():
            return None
        told = measure(bench, cell, running, 0.1, ["--requests", str(requests)])
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.rstrip().endswith("total"):
                calls = re.findall(r"\d+", line.split("total")[0])
                return int(calls[2]) / sum(told["sent"].values()) if len(calls) > 2 else None
    return None


def of_cell(requests, cell):
    return requests * (1 if cell.pipeline == 1 else 4)


def count_instructions(bench, *, mode, requests):
    """User instructions per request by callgrind, which is exact and needs no rights.

    Counted is the whole process from the first request of a warm session to the last reply.
    """
    if not has("valgrind"):
        return {"means": None, "cells": {}}
    counts = {"means": "valgrind --tool=callgrind", "cells": {}}
    for cell in cells_of(()):
        figures = counts["cells"].setdefault(cell.name, {})
        for name in filter(targets.available, IN_CALLGRIND[mode]):
            note(f"  {cell.name}: {name} in callgrind")
            try:
                figures[name] = callgrind(bench, cell, name, of_cell(requests, cell))
            except (BenchError, OSError, subprocess.SubprocessError) as error:
                note(f"    failed: {error}")
    return counts


def callgrind(bench, cell, name, requests):
    port = bench.ports.take()
    # Everything takes fifty times as long there: neither is every request slow, nor do probes by
    # the clock count for so few requests.
    command = targets.command_of(bench, name, port, cell.value, 1, probe="5s", slow="10m")
    folder = os.path.join(bench.folder, f"callgrind-{port}")
    os.mkdir(folder)
    process = Process(f"callgrind-{port}", [
        "valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/out",
        *command], bench.folder, {processors()[0]})
    try:
        process.wait_for_reply(port, seconds=60)
        # So few keys are all in the near cache when the warm-up is over.
        small = replace(cell, connections=20, key_count=1000)
        options = ["--hold", "--requests", requests, "--warm-up", 1]
        if name == "memory":
            options.append("--any-value")
        counted_load(load_arguments(bench, small, port, options), process.pid)
    finally:
        process.stop()
    written = f"{folder}/out.1"
    total = summary_of(written)
    told = {"total": total / requests, "functions": profile_of.by_function(written, requests),
            "modules": profile_of.by_module(written, requests)}
    if bench.output:
        kind = name.replace(" ", "-")
        shutil.copy(written, os.path.join(bench.output, f"callgrind-{kind}-p{cell.pipeline}.out"))
    shutil.rmtree(folder)
    return told


def counted_load(arguments, pid):
    """The load stops twice, before and behind what is counted, and waits for a line."""
    with subprocess.Popen(on_load_cpu(arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as load:
        try:
            if load.stdout.readline().strip() != "ready":
                raise BenchError("the load does not get ready")
            control(pid, "--instr=on")
            load.stdin.write("go\n")
            load.stdin.flush()
            if not load.stdout.readline():
                raise BenchError("the load ends without a result")
            control(pid, "--dump")  # switching it off would forget what was counted
            load.stdin.write("end\n")
            load.stdin.flush()
            load.wait(30)
        finally:
            if load.poll() is None:
                load.kill()


def control(pid, action):
    subprocess.run(["callgrind_control", action, str(pid)], check=True, timeout=60,
                   capture_output=True)


def summary_of(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith(("summary:", "totals:")):
                return int(line.split()[1])
    raise BenchError(f"callgrind told no sum in {os.path.basename(path)}")
