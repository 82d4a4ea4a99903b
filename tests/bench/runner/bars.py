"""The bars of the issue, judged by one run: figure, bar, met or not, in plain words."""

from dataclasses import dataclass, field
from typing import Optional

from figures import divided, number

CLOSE = 0.15  # a miss by less than this is judged by instructions and system calls


@dataclass
class Bar:
    what: str
    measured: Optional[float]
    limit: float
    at_least: bool = False
    exact: bool = False  # a count: no noise
    unit: str = ""
    needs: list = field(default_factory=list)  # other bars, without which this one does not hold
    beside: str = ""  # what else was measured of it, for the reader to judge

    def holds(self):
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def verdict(self):
        if self.measured is None:
            return "not measured"
        off = abs(self.measured / self.limit - 1)
        close = not self.exact and off < CLOSE
        if not self.holds():
            return f"not met, by {off:.0%}" + (": judge by instructions and system calls" if close
                                               else "")
        for other in self.needs:
            if other.measured is None or not other.holds():
                return f"not met: it needs {other.what}"
        return "met" + (", closely: judge by instructions and system calls" if close else "")


def _pair(what, own, other):
    """Two figures per request, or nothing where one is missing."""
    return None if own is None or other is None else f"{what} {number(own)} / {number(other)}"


def _share(what, value):
    return None if value is None else f"{what} {value:.2f}"


def beside(figures, target, other, pipeline):
    """The same ratio at fixed rates (batches of one) and in layout B; counts of both."""
    cell = f"count-p{pipeline}"
    parts = [_share("at 2,000/s", figures.ratio("rate-2000", target, other)),
             _share("at 20,000/s", figures.ratio("rate-20000", target, other)),
             _share("layout B", figures.ratio(f"layout-B-p{pipeline}", target, other)),
             _pair("system calls", figures.system_calls(cell, target),
                   figures.system_calls(cell, other)),
             _pair("instructions", figures.instructions(cell, target),
                   figures.instructions(cell, other))]
    return "; ".join(part for part in parts if part)


def _p50(figures, target, path, pipeline):
    return Bar(f"{path}, p50 against redis, P={pipeline}",
               figures.ratio(f"get-p{pipeline}", target, "redis", "p50"), 2.2)


def _pass_through(figures):
    limits = {"nutcracker": (.72, .28), "redis": (.92, .45), "haproxy": (.55, .60)}
    for place, pipeline in enumerate((1, 16)):
        cell = f"get-p{pipeline}"
        needs = [_p50(figures, "pannier", "pass-through", pipeline),
                 Bar(f"pass-through, commands at upstream per command sent, P={pipeline}",
                     figures.joined(cell, "pannier"), 1, at_least=True, exact=True)]
        for other, pair in limits.items():
            yield Bar(f"pass-through, own CPU against {other}, P={pipeline}",
                      figures.ratio(cell, "pannier", other), pair[place], needs=needs,
                      beside=beside(figures, "pannier", other, pipeline))
        yield from needs
    yield Bar("pass-through, system calls per request, P=1",
              figures.system_calls("count-p1", "pannier"), 2.3, exact=True)


def _hits(figures):
    for pipeline, limit in ((1, 1.10), (16, 1.5)):
        p50 = _p50(figures, "pannier hits", "hits", pipeline)
        yield Bar(f"hits over 100,000 keys, own CPU against the memory server, P={pipeline}",
                  figures.ratio(f"get-p{pipeline}", "pannier hits", "memory"), limit, needs=[p50],
                  beside=beside(figures, "pannier hits", "memory", pipeline))
        yield p50


def _shop(figures):
    for pipeline in (1, 16):
        cell = f"count-p{pipeline}"
        with_rules = figures.instructions(cell, "pannier shop")
        without = figures.instructions(cell, "pannier")
        more = with_rules - without if with_rules and without else None
        yield Bar(f"shop policy over transparent, user instructions, P={pipeline}", more, 250,
                  exact=True, needs=[_p50(figures, "pannier shop", "shop policy", pipeline)],
                  beside=beside(figures, "pannier shop", "pannier", pipeline))


def _latency(figures):
    for cell, what in (("mget-10", "MGET of 10"), ("get-p10", "10-GET pipeline")):
        for target, path in (("pannier", "pass-through"), ("pannier hits", "hits")):
            yield Bar(f"{what}, {path}, p95 against redis, 2,000/s",
                      figures.ratio(f"{cell}-rate-2000", target, "redis", "p95"), 1.2)
            yield Bar(f"{what}, {path}, p95 against redis, as fast as 50 connections go",
                      figures.ratio(cell, target, "redis", "p95"), 1.2)
    own, other = (_added(figures, name) for name in ("pannier", "nutcracker"))
    measurable = own is not None and other is not None and min(own, other) > 0  # else it is noise
    yield Bar("added latency at 2,000/s, median, against nutcracker's",
              own / other if measurable else None, 1)
    yield Bar("hits at 2,000/s, median over redis", _added(figures, "pannier hits"), 3, unit=" us")


def _added(figures, target):
    p50 = figures.median("rate-2000", target, "p50")
    direct = figures.median("rate-2000", "redis", "p50")
    return None if p50 is None or direct is None else p50 - direct


def _large(figures):
    yield Bar("1 MiB values, own CPU per GET against nutcracker",
              figures.ratio("get-1MiB", "pannier", "nutcracker"), 1.2)
    peak = figures.median("get-1MiB", "pannier", "peak_kib")
    idle = figures.median("get-1MiB", "pannier", "idle_rss_kib")
    over = None if peak is None or idle is None else (peak - idle) / 1024
    yield Bar("1 MiB values, 20 clients, peak RSS over idle", over, 20, unit=" MiB")
    per_byte = divided(figures.median("get-1MiB", "pannier"),
                       figures.median("get-16KiB", "pannier"))
    yield Bar("linear in bytes: 1 MiB costs so many times 16 KiB (64 times the bytes)",
              per_byte, 64)


def _scaling(figures):
    for target, path in (("pannier", "pass-through"), ("pannier hits", "hits")):
        own = growth(figures, target)
        yield Bar(f"growth of own CPU from 50 to 5,000 connections, {path}, against redis's",
                  divided(own, growth(figures, "redis")), 1)
    yield Bar("own CPU with 200 classes against 10, P=16",
              figures.ratio("classes-p16", "pannier classes-200", "pannier classes-10"), 1.15)
    yield Bar("near cache, lookups by two threads against one", two_threads(figures), 1.7,
              at_least=True)
    yield Bar("the same, per processor time", per_processor(figures), 1.7, at_least=True)
    for target, path in (("pannier", "pass-through"), ("pannier hits", "hits")):
        per_key = divided(figures.median("mget-100", target), figures.median("mget-10", target))
        yield Bar(f"linear in keys, {path}: MGET of 100 costs so many times MGET of 10", per_key, 10)


def growth(figures, target):
    return divided(figures.median("conns-5000", target), figures.median("get-p1", target))


def two_threads(figures):
    micro = figures.results.get("micro") or {}
    speed = {each["threads"]: each["items_per_second"] for name, each in micro.items()
             if "/lookup_batch/" in name}
    return divided(speed.get(2), speed.get(1))


def per_processor(figures):
    """For a machine that does something else too: twice the time of one by the time of two."""
    micro = figures.results.get("micro") or {}
    time = {each["threads"]: each["cpu_time"] for name, each in micro.items()
            if "/lookup_batch/" in name}
    return divided(2 * time[1], time[2]) if {1, 2} <= set(time) else None


def judge(figures):
    bars = []
    for group in (_pass_through, _hits, _shop, _latency, _large, _scaling):
        bars.extend(group(figures))
    return bars
