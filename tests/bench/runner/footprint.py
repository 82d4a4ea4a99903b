"""What Pannier takes when little or nothing is asked of it, beside the others."""

import os
import re
import statistics
import subprocess
import tempfile
import time

import targets
from machine import BenchError, processors, rss_kib, status_sum
from measure import load_arguments, on_load_cpu

NAMES = ("redis", "nutcracker", "haproxy", "pannier", "pannier shop")


def measure_footprint(bench, cell, *, idle_seconds, starts):
    """`cell`: with the connections that are held, over keys that are there."""
    return {"binary": binary(bench), "libraries": libraries(bench),
            "targets": {name: of_target(bench, name, cell, idle_seconds, starts)
                        for name in filter(targets.available, NAMES)}}


def binary(bench):
    stripped = os.path.join(bench.folder, "stripped")
    subprocess.run(["strip", "-o", stripped, bench.pannier], check=True, timeout=60)
    return {"bytes": os.path.getsize(bench.pannier), "stripped_bytes": os.path.getsize(stripped)}


def libraries(bench):
    """The shared libraries that an image needs beside the binary, with their sizes."""
    told = subprocess.run(["ldd", bench.pannier], capture_output=True, text=True, timeout=30,
                          check=True).stdout
    paths = re.findall(r"=> (/\S+)", told)
    return {os.path.basename(path): os.path.getsize(os.path.realpath(path)) for path in paths}


def of_target(bench, name, cell, idle_seconds, starts):
    figures = {}
    if name != "redis":
        figures["start_ms"] = statistics.median(start_time(bench, name) for _ in range(starts))
    running = targets.start(bench, name)
    try:
        time.sleep(0.5)  # what it does at its start is no idling
        figures["idle_rss_kib"] = rss_kib(running.pid)
        figures.update(idle(running, idle_seconds))
        figures["connection_bytes"] = per_connection(bench, running, cell)
    finally:
        running.stop()
    return figures


def start_time(bench, name):
    """From the start of the process to the first reply to a GET, in milliseconds."""
    server, _ = processors()
    port = bench.ports.take()
    command = targets.command_of(bench, name, port, 100, 1)
    with targets.Process("start", command, bench.folder, {server}) as process:
        return process.wait_for_reply(port) * 1e3


def idle(running, seconds):
    wakeups = status_sum(running.pid, "voluntary_ctxt_switches")
    cpu = running.cpu_seconds()
    time.sleep(seconds)
    return {"idle_cpu_us_per_second": (running.cpu_seconds() - cpu) / seconds * 1e6,
            "wakeups_per_second":
                (status_sum(running.pid, "voluntary_ctxt_switches") - wakeups) / seconds}


def per_connection(bench, running, cell):
    """Resident bytes of a connection that was used and is idle; the kernel's share is not in it."""
    before = rss_kib(running.pid)
    arguments = load_arguments(bench, cell, running.port, ["--hold", "--warm-up", "0.3"])
    with subprocess.Popen(on_load_cpu(arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as load:
        try:
            if load.stdout.readline().strip() != "ready":
                raise BenchError(f"{running.name} does not take {cell.connections} connections")
            return (rss_kib(running.pid) - before) * 1024 / cell.connections
        finally:
            load.kill()


def temporary_folder():
    return tempfile.TemporaryDirectory(prefix="pannier-bench.")
