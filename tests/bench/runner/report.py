"""The report in Markdown."""

import os

import plots
from bars import judge
from cells import all_cells
from figures import Figures, divided, number


BUSY = 0.1  # of all processors' time, by others: figures are doubtful


def table(head, rows):
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"
    yield ""


def was_busy(results):
    """By others: looked at before the bench began and when it was over."""
    return max(results["machine"]["busy"], results["busy_after"]) > BUSY


def _head(results):
    machine = results["machine"]
    yield "# Bench"
    yield ""
    yield (f"{results['mode']} run, {results['elapsed']:.0f} s, {results['date']}, revision "
           f"{results['revision']}. {machine['processors']} processors, {machine['processor']}, "
           f"Linux {machine['kernel']}; {machine['busy']:.0%} busy with other things before the run "
           f"(load average {machine['load_average']:.1f}), {results['busy_after']:.0%} after it.")
    yield ""
    if was_busy(results):
        yield ("**The machine was busy with something else: times and rates are not to be "
               "believed, ratios with care.**")
        yield ""
    for failure in results["failures"]:
        yield f"- failed: {failure}"
    yield ""


def _bars(figures):
    yield "## Bars"
    yield ""
    rows = []
    doubt = " (busy machine)" if was_busy(figures.results) else ""
    for bar in judge(figures):
        if bar.measured is None and figures.results["mode"] == "cell":
            continue
        sign = ">=" if bar.at_least else "<="
        digits = 4 if bar.exact else 3
        rows.append((bar.what, number(bar.measured, digits) + bar.unit if bar.measured is not None
                     else "–", f"{sign} {bar.limit:g}{bar.unit}",
                     bar.verdict() + ("" if bar.exact or bar.measured is None else doubt),
                     bar.beside))
    yield from table(("figure", "measured", "bar", "", "beside it"), rows)


def _own(figures, cell, target):
    values = figures.values(cell, target, "cpu_us")
    return f"{number(figures.median(cell, target))} ({number(min(values))}–{number(max(values))})"


def _mib(kib):
    return "–" if kib is None else f"{kib / 1024:.1f}"


def _cells(figures):
    yield "## Cells"
    yield ""
    yield ("Medians; own CPU in microseconds per request with least and most; times in "
           "microseconds, per batch; README.md explains the columns.")
    yield ""
    known = {cell.name: cell for cell in all_cells()}
    for name in figures.cells():
        cell = known[name]
        at = f", {cell.rate:,} batches/s" if cell.rate else ""
        yield (f"### {name}: {cell.workload}, P={cell.pipeline}, {cell.value:,} B, "
               f"{cell.connections:,} connections{at}, layout {cell.layout}"
               + (f", {cell.workers} workers" if cell.workers > 1 else ""))
        yield ""
        rows = []
        for target in figures.targets(name):
            ratio = figures.ratio(name, target, "redis")
            row = [target, _own(figures, name, target), number(ratio)]
            row += [number(figures.median(name, target, field))
                    for field in ("upstream_cpu_us", "kops", "p50", "p95", "p99", "p999")]
            row += [_mib(figures.median(name, target, "rss_kib")),
                    number(figures.joined(name, target)) if target != "memory" else "–",
                    number(figures.median(name, target, "load_cpu_us"))]
            rows.append(row)
        yield from table(("target", "own CPU", "/ redis", "upstream CPU", "kops/s", "p50", "p95",
                          "p99", "p99.9", "RSS MiB", "upstream commands", "load's CPU"), rows)


def _counts(figures):
    calls = figures.results.get("system_calls")
    instructions = figures.results.get("instructions")
    if not calls:
        return
    yield "## System calls and user instructions per request"
    yield ""
    means = (instructions or {}).get("means") or "nothing that is installed"
    yield (f"System calls by {calls['means']}; instructions by the processor's counter where there "
           f"is one, else by {means}.")
    yield ""
    names = list(calls["cells"]["count-p1"])
    names += [name for name in (instructions or {"cells": {}})["cells"].get("count-p1", {})
              if name not in names]
    rows = [(name, *(number(each(cell, name), 4) for each in (figures.system_calls,
                                                              figures.instructions)
                     for cell in ("count-p1", "count-p16"))) for name in names]
    yield from table(("target", "system calls P=1", "P=16", "instructions P=1", "P=16"), rows)


def _modules(figures):
    columns = [(cell, name) for name in ("pannier", "pannier shop", "pannier hits")
               for cell in ("count-p1", "count-p16") if figures.modules(cell, name)]
    if not columns:
        return
    yield "User instructions per request by module:"
    yield ""
    counts = [figures.modules(*column) for column in columns]
    names = sorted({name for each in counts for name in each},
                   key=lambda name: -max(each.get(name, 0) for each in counts))
    yield from table(("", *(f"{name} {cell.removeprefix('count-').upper()}"
                            for cell, name in columns)),
                     [(name, *(number(each.get(name, 0)) for each in counts)) for name in names])


def _profile(figures):
    cell = "count-p16"
    plain, shop = (figures.functions(cell, name) for name in ("pannier", "pannier shop"))
    if not plain:
        return
    yield "User instructions per request, P=16, by function with all that it calls:"
    yield ""
    rows = sorted(plain.items(), key=lambda item: -item[1])[:25]
    yield from table(("pass-through", ""), [(f"`{name}`", number(count)) for name, count in rows])
    if not shop:
        return
    more = {name: count - plain.get(name, 0) for name, count in shop.items()}
    rows = sorted(more.items(), key=lambda item: -item[1])[:20]
    yield from table(("the shop policy adds", ""),
                     [(f"`{name}`", number(count)) for name, count in rows if count > 0])


def _scaling(figures):
    if figures.results["mode"] == "cell":
        return
    rows = []
    for target in ("redis", "nutcracker", "haproxy", "pannier", "pannier hits"):
        if not figures.runs("conns-5000", target):
            continue
        small = figures.median("get-p1", target)
        row = [number(figures.median(cell, target))
               for cell in ("get-p1", "conns-500", "conns-5000")]
        grown = divided(figures.median("conns-5000", target), small)
        rows.append([target, *row, number(grown)])
    yield "## Scaling"
    yield ""
    yield "Own CPU per request by connections, P=1:"
    yield ""
    yield from table(("target", "50", "500", "5,000", "5,000 / 50"), rows)
    rows = []
    for cell in ("classes-p1", "classes-p16"):
        if not figures.targets(cell):
            continue
        rows.append([cell] + [number(figures.median(cell, target)) for target in
                              ("redis", "pannier", "pannier classes-10",
                               "pannier classes-200")])
    if rows:
        yield "Own CPU by classes:"
        yield ""
        yield from table(("", "redis", "no policy", "10", "200"), rows)


def _footprint(results):
    footprint = results.get("footprint")
    if not footprint:
        return
    yield "## Footprint"
    yield ""
    rows = []
    for name, each in footprint["targets"].items():
        rows.append((name, number(each.get("start_ms")), _mib(each["idle_rss_kib"]),
                     number(each["connection_bytes"] / 1024),
                     number(each["idle_cpu_us_per_second"]),
                     number(each["wakeups_per_second"])))
    yield from table(("target", "start to first reply, ms", "idle RSS, MiB", "KiB per connection",
                      "idle CPU, us/s", "wakeups/s"), rows)
    size = footprint["binary"]
    yield (f"The binary: {size['bytes'] / 2**20:.1f} MiB, {size['stripped_bytes'] / 2**20:.1f} MiB "
           "stripped. Shared libraries that an image needs:")
    yield ""
    yield from table(("library", "KiB"), [(name, f"{size / 1024:,.0f}") for name, size in
                                          sorted(footprint["libraries"].items())])


def _micro(results):
    if not results.get("micro"):
        return
    yield "## Parts"
    yield ""
    rows = [(name.removeprefix("bench_"), number(each["cpu_time"]) + " " + each["time_unit"],
             number(divided(each["items_per_second"], 1e6)))
            for name, each in results["micro"].items()]
    yield from table(("part", "CPU time per call", "million items/s"), rows)


def _cross_check(figures):
    check = figures.results.get("redis_benchmark")
    if not check:
        return
    yield "## redis-benchmark as the check"
    yield ""
    yield ("Own CPU per request and its ratio to redis, as redis-benchmark's load makes it and as "
           "ours does.")
    yield ""
    rows = []
    for key, targets in check.items():
        for name, each in targets.items():
            cell = f"get-{key}"
            rows.append((key.upper(), name, number(each["cpu_us"]),
                         number(divided(each["cpu_us"], targets["redis"]["cpu_us"])),
                         number(figures.median(cell, name)),
                         number(figures.ratio(cell, name, "redis"))))
    yield from table(("", "target", "redis-benchmark's", "/ redis", "ours", "/ redis"), rows)


def write(results, folder):
    """results.md and the plots; returns the path of results.md."""
    figures = Figures(results)
    drawn = plots.draw(figures, folder)
    lines = [*_head(results), *_bars(figures), *_scaling(figures), *_cells(figures),
             *_counts(figures), *_modules(figures), *_profile(figures),
             *_footprint(results), *_micro(results), *_cross_check(figures)]
    if drawn:
        lines += ["## Plots", ""] + [f"![{name}]({name})" for name in drawn]
    path = os.path.join(folder, "results.md")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return path
