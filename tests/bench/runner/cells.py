"""The cells of the measurement: one workload each, for several targets."""

from dataclasses import dataclass

PEERS = ("redis", "nutcracker", "haproxy")
PASS = PEERS + ("pannier",)
ALL = PASS + ("pannier shop", "pannier hits")
WAYS = ("redis", "pannier", "pannier hits")
KEYS = {100: 100_000, 1024: 20_000, 16384: 2_000, 1 << 20: 20}


@dataclass(frozen=True)
class Cell:
    """Names are unique; a cell is repeated alone by its name."""

    name: str
    targets: tuple
    workload: str = "get"
    pipeline: int = 1
    value: int = 100
    connections: int = 50
    rate: int = 0        # batches per second; 0: as fast as replies come
    layout: str = "A"
    workers: int = 1
    mget_keys: int = 10
    key_count: int = 0   # 0: as many as the value's size suggests
    quick: tuple = ()    # the targets that --quick measures: what the bars need

    @property
    def keys(self):
        if self.key_count:
            return self.key_count
        return 10_000 if self.workload == "shop" else KEYS[self.value]

    @property
    def prefix(self):
        return "cart:" if self.value == 100 else f"cart:{self.value}:"

    @property
    def writes(self):
        return self.workload in ("getset", "shop")


def _by_pipeline():
    everything = ALL + ("memory",)
    yield Cell("get-p1", everything, quick=everything)
    yield Cell("get-p10", ALL, pipeline=10, quick=WAYS)
    yield Cell("get-p16", everything, pipeline=16, quick=everything)
    yield Cell("get-p100", ALL, pipeline=100)


def _by_value():
    pair = ("nutcracker", "pannier")
    yield Cell("get-1KiB", PASS + ("pannier hits",), value=1024)
    yield Cell("get-16KiB", PASS + ("pannier hits",), value=16384, quick=pair)
    yield Cell("get-1MiB", PASS, value=1 << 20, connections=20, quick=pair)


def _by_workload():
    yield Cell("getset-p1", ALL, workload="getset")
    yield Cell("getset-p16", ALL, workload="getset", pipeline=16)
    yield Cell("mget-10", ALL, workload="mget", quick=WAYS)
    yield Cell("mget-100", PASS + ("pannier hits",), workload="mget", mget_keys=100,
               quick=WAYS[1:])
    yield Cell("shop-p1", PASS + ("pannier shop",), workload="shop")
    yield Cell("shop-p16", PASS + ("pannier shop",), workload="shop", pipeline=16)


def _by_connections():
    yield Cell("conns-500", PASS + ("pannier hits",), connections=500)
    yield Cell("conns-5000", PASS + ("pannier hits",), connections=5000, quick=WAYS)


def _by_classes():
    targets = ("redis", "pannier", "pannier classes-10", "pannier classes-200")
    yield Cell("classes-p1", targets)
    yield Cell("classes-p16", targets, pipeline=16, quick=targets)


def _at_a_rate():
    everything = ALL + ("memory",)
    yield Cell("rate-2000", everything, rate=2_000, quick=everything)
    yield Cell("rate-20000", everything, rate=20_000, quick=everything)
    yield Cell("mget-10-rate-2000", WAYS, workload="mget", rate=2_000, quick=WAYS)
    yield Cell("get-p10-rate-2000", WAYS, pipeline=10, rate=2_000, quick=WAYS)


def _by_layout():
    proxies = PASS + ("pannier hits",)
    yield Cell("layout-B-p1", proxies, layout="B")
    yield Cell("layout-B-p16", proxies, layout="B", pipeline=16)
    targets = ("redis", "haproxy", "pannier", "pannier hits")
    yield Cell("workers-2-p1", targets, workers=2)
    yield Cell("workers-2-p16", targets, workers=2, pipeline=16)


def all_cells():
    for group in (_by_pipeline, _by_value, _by_workload, _by_connections, _by_classes, _at_a_rate,
                  _by_layout):
        yield from group()
