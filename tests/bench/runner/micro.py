"""Google Benchmark's programs, and redis-benchmark as the check of our own load."""

import glob
import json
import os
import subprocess

import targets
from machine import has
from measure import note, on_load_cpu


def programs(bench):
    """Those that take Google Benchmark's options."""
    folder = os.path.join(bench.build, "tests", "bench")
    return [path for name in ("near_cache", "parts", "policy")
            for path in glob.glob(os.path.join(folder, f"bench_{name}"))]


def run_micro(bench, *, seconds):
    """Nanoseconds of each part, by name; what is not built is left out."""
    figures = {}
    for program in programs(bench):
        note(f"  {os.path.basename(program)}")
        arguments = [program, "--benchmark_format=json", f"--benchmark_min_time={seconds}",
                     "--benchmark_filter=-invalidate_kept"]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            note(f"    failed: {done.stderr.strip()[-200:]}")
            continue
        for each in json.loads(done.stdout)["benchmarks"]:
            figures[f"{os.path.basename(program)}/{each['name']}"] = {
                key: each.get(key) for key in ("real_time", "cpu_time", "time_unit",
                                               "items_per_second", "threads")}
    return figures


def cross_check(bench, *, requests):
    """Own CPU microseconds per request as redis-benchmark's load makes it."""
    if not has("redis-benchmark"):
        return {}
    figures = {}
    for pipeline in (1, 16):
        for name in filter(targets.available, ("redis", "nutcracker", "haproxy", "pannier")):
            running = targets.start(bench, name)
            try:
                figures.setdefault(f"p{pipeline}", {})[name] = redis_benchmark(
                    running, pipeline, requests * (1 if pipeline == 1 else 6))
            finally:
                running.stop()
    return figures


def redis_benchmark(running, pipeline, requests):
    before = running.cpu_seconds()
    done = subprocess.run(
        on_load_cpu(["redis-benchmark", "-h", "127.0.0.1", "-p", str(running.port), "-c", "50",
                     "-P", str(pipeline), "-n", str(requests), "-r", "100000", "--csv", "-q",
                     "GET", "cart:__rand_int__"]),
        capture_output=True, text=True, timeout=120, check=True)
    kops = None
    for line in done.stdout.splitlines():
        fields = [field.strip('"') for field in line.split('","')]
        if len(fields) > 1 and fields[1].replace(".", "", 1).isdigit():
            kops = float(fields[1]) / 1e3
    return {"cpu_us": (running.cpu_seconds() - before) / requests * 1e6, "kops": kops}
