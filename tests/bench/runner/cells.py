"""The cells of the measurement: one workload each, for several targets."""

from dataclasses import dataclass

PEERS = ("redis", "nutcracker", "haproxy")
PASS = PEERS + ("pannier",)
ALL = PASS + ("pannier shop", "pannier hits")
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
    quick: bool = False  # also measured by --quick

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
    yield Cell("get-p1", ALL + ("memory",), quick=True)
    yield Cell("get-p10", ALL, pipeline=10)
    yield Cell("get-p16", ALL + ("memory",), pipeline=16, quick=True)
    yield Cell("get-p100", ALL, pipeline=100)


def _by_value():
    yield Cell("get-1KiB", PASS + ("pannier hits",), value=1024)
    yield Cell("get-16KiB", PASS + ("pannier hits",), value=16384, quick=True)
    yield Cell("get-1MiB", PASS, value=1 << 20, connections=20, quick=True)


def _by_workload():
    yield Cell("getset-p1", ALL, workload="getset")
    yield Cell("getset-p16", ALL, workload="getset", pipeline=16)
    yield Cell("mget-10", ALL, workload="mget", quick=True)
    yield Cell("mget-100", PASS + ("pannier hits",), workload="mget", mget_keys=100)
    yield Cell("shop-p1", PASS + ("pannier shop",), workload="shop")
    yield Cell("shop-p16", PASS + ("pannier shop",), workload="shop", pipeline=16)


def _by_connections():
    yield Cell("conns-500", PASS + ("pannier hits",), connections=500)
    yield Cell("conns-5000", PASS + ("pannier hits",), connections=5000, quick=True)


def _by_classes():
    targets = ("redis", "pannier") + tuple(f"pannier classes-{n}" for n in (10, 50, 200))
    yield Cell("classes-p1", targets)
    yield Cell("classes-p16", targets, pipeline=16)


def _at_a_rate():
    yield Cell("rate-2000", ALL, rate=2_000, quick=True)
    yield Cell("rate-20000", ALL, rate=20_000, quick=True)
    yield Cell("mget-10-rate-2000", ("redis", "pannier", "pannier hits"), workload="mget",
               rate=2_000, quick=True)
    yield Cell("get-p10-rate-2000", ("redis", "pannier", "pannier hits"), pipeline=10,
               rate=2_000, quick=True)


def _by_layout():
    yield Cell("layout-B-p1", PASS + ("pannier hits",), layout="B")
    yield Cell("layout-B-p16", PASS + ("pannier hits",), layout="B", pipeline=16)
    targets = ("redis", "haproxy", "pannier", "pannier hits")
    yield Cell("workers-2-p1", targets, workers=2)
    yield Cell("workers-2-p16", targets, workers=2, pipeline=16)


def all_cells():
    for group in (_by_pipeline, _by_value, _by_workload, _by_connections, _by_classes, _at_a_rate,
                  _by_layout):
        yield from group()
