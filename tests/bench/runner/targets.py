"""What is compared: how each server is configured and started in front of one redis-server."""

import os

from machine import Process, cpu_seconds, has, pin, processors

PREFIX = "cart:"

NUTCRACKER = """\
bench:
  listen: 127.0.0.1:{port}
  redis: true
  hash: fnv1a_64
  distribution: ketama
  preconnect: true
  server_connections: 1
  timeout: 30000
  backlog: 4096
  servers:
    - 127.0.0.1:{upstream}:1
"""

HAPROXY = """\
global
  maxconn 9000
  nbthread {workers}
defaults
  mode tcp
  maxconn 9000
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen bench
  bind 127.0.0.1:{port} backlog 4096
  server redis 127.0.0.1:{upstream}
"""

PANNIER = """\
version: 1
listen: [{{ address: "127.0.0.1:{port}" }}]
probe: off
admin: off
workers: {workers}
upstream:
  nodes: [{{ address: "127.0.0.1:{upstream}" }}]
  timeouts: {{ connect: {patience}, attempt: {patience}, read: {patience}, write: {patience} }}
  probe: {probe}
slowlog: {{ slower_than: {slow} }}
log: {{ level: warn }}
"""

# A busy machine must not fail a run; nutcracker's and haproxy's are as long.
PATIENCE = "30s"

HITS = """\
version: 1
classes:
  - name: bench
    keys: ["cart:*"]
    cache: { ttl: 1h, max_value: 256KiB, mget: true }
    miss: off
"""


def classes_policy(count):
    """So many classes; the keys that are asked are in the last one."""
    lines = ["version: 1", "classes:"]
    for i in range(count - 1):
        lines.append(f'  - {{ name: c{i}, keys: ["data{i}:*", "v?:data{i}:*"], reads: primary }}')
    lines.append(f'  - {{ name: carts, keys: ["{PREFIX}*"], reads: primary }}')
    return "\n".join(lines) + "\n"


class Bench:
    """What all targets share: where programs and files are, ports, and the redis-server behind."""

    def __init__(self, root, build, folder, ports, output=None):
        self.root = root
        self.build = build
        self.folder = folder
        self.output = output
        self.ports = ports
        self.redis = None
        self.redis_port = None

    @property
    def pannier(self):
        return os.path.join(self.build, "pannier")

    @property
    def load(self):
        return os.path.join(self.build, "tests", "bench", "bench_load")

    def start_redis(self):
        self.redis_port = self.ports.take()
        server, _ = processors()
        self.redis = Process("redis", [
            "redis-server", "--bind", "127.0.0.1", "--port", str(self.redis_port), "--save", "",
            "--appendonly", "no", "--maxclients", "12000", "--tcp-backlog", "4096",
            "--dir", self.folder], self.folder, {server})
        self.redis.wait_for_reply(self.redis_port)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path


class Running:
    """A started target: where it listens, and whose cost is its own."""

    def __init__(self, name, port, process, owned):
        self.name = name
        self.port = port
        self.process = process
        self._owned = owned  # false for the redis-server that all share

    @property
    def pid(self):
        return self.process.pid

    def cpu_seconds(self):
        return cpu_seconds(self.pid)

    def stop(self):
        if self._owned:
            self.process.stop()


def pannier_config(bench, port, *, policy=None, workers=1, probe="400ms", slow="10ms"):
    text = PANNIER.format(port=port, upstream=bench.redis_port, workers=workers,
                          patience=PATIENCE, probe=probe, slow=slow)
    if policy:
        text += f"policy: {policy}\n"
    return bench.write(f"pannier-{port}.yaml", text)


def policy_path(bench, name):
    if name == "shop":
        return os.path.join(bench.root, "config", "policy.yaml")
    if name == "hits":
        return bench.write("hits.yaml", HITS)
    if name.startswith("classes-"):
        return bench.write(f"{name}.yaml", classes_policy(int(name.split("-")[1])))
    return None


def command_of(bench, name, port, value, workers, **config):
    """The command line of a target; writes its configuration. `config`: of Pannier's only."""
    fields = {"port": port, "upstream": bench.redis_port, "workers": workers}
    if name == "nutcracker":
        path = bench.write(f"nutcracker-{port}.yml", NUTCRACKER.format(**fields))
        return ["nutcracker", "-c", path, "-s", str(bench.ports.take()), "-a", "127.0.0.1",
                "-v", "2"]
    if name == "haproxy":
        path = bench.write(f"haproxy-{port}.cfg", HAPROXY.format(**fields))
        return ["haproxy", "-db", "-f", path]
    if name == "memory":
        return [os.path.join(bench.build, "tests", "bench", "bench_memory_server"), str(port),
                str(value)]
    kind = name.partition(" ")[2]
    path = pannier_config(bench, port, policy=policy_path(bench, kind), workers=workers, **config)
    return [bench.pannier, "serve", "-c", path]


def start(bench, name, *, value=100, workers=1, layout="A"):
    """Starts a target, pinned as the layout says, and waits until it answers.

    Layout A: everything that serves on one processor, the load on the other. Layout B: redis-server
    shares the load's processor when a proxy stands before it. Two workers get both processors.
    """
    server, load = processors()
    pin(bench.redis.pid, {load} if layout == "B" and name != "redis" else {server})
    if name == "redis":
        return Running(name, bench.redis_port, bench.redis, owned=False)
    port = bench.ports.take()
    cpus = {server, load} if workers > 1 else {server}
    command = command_of(bench, name, port, value, workers)
    process = Process(name.replace(" ", "-"), command, bench.folder, cpus)
    try:
        process.wait_for_reply(port)
    except Exception:
        process.stop()
        raise
    return Running(name, port, process, owned=True)


def available(name):
    return name not in ("nutcracker", "haproxy") or has(name)
