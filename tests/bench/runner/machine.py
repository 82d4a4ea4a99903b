"""Processes, ports, processors and /proc: what a run needs of the machine.

Everything that is started here is stopped here, by its pid.
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time


_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class BenchError(Exception):
    """Something that makes a measurement impossible; its text is for the reader of the report."""


def processors():
    """The two processors that are used: (servers, load). With one only, both are that one."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[1] if len(allowed) > 1 else allowed[0]


def pin(pid, cpus):
    """Moves a process, with all its threads."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(thread), cpus)


class Ports:
    """Hands out ports of loopback that are free, round and round."""

    def __init__(self, first=None, last=None):
        self._first = first or 20000 + os.getpid() % 80 * 100
        self._last = last or 32000
        self._next = self._first

    def take(self):
        for _ in range(self._first, self._last + 1):
            port = self._next
            self._next = self._first if port == self._last else port + 1
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                    return port
                except OSError:
                    continue
        raise BenchError("no free port is left")


def _before_exec(cpus):
    """In the child: it ends when the bench is killed, and stays on its processors."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if cpus:
        os.sched_setaffinity(0, cpus)


class Process:
    """A child that is stopped at the end of `with`, or by stop()."""

    def __init__(self, name, command, folder, cpus=None):
        self.name = name
        self._log_path = os.path.join(folder, f"{name}.log")
        self._log = open(self._log_path, "wb")
        self.started = time.monotonic()
        self._child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, cwd=folder,
            start_new_session=True, preexec_fn=lambda: _before_exec(cpus))
        self.pid = self._child.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def is_alive(self):
        return self._child.poll() is None

    def stop(self, sign=signal.SIGTERM):
        if self.is_alive():
            self._child.send_signal(sign)
            try:
                self._child.wait(10)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        self._log.close()

    def wait_for_reply(self, port, seconds=15):
        """Until a GET is answered on the port; the time since the start in seconds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self.is_alive():
                raise BenchError(f"{self.name} ended at its start: {self.last_words()}")
            try:
                ask(port, "GET", "bench:ready", timeout=1)
                return time.monotonic() - self.started
            except (OSError, BenchError):
                time.sleep(0.001)
        raise BenchError(f"{self.name} does not answer on port {port}: {self.last_words()}")

    def last_words(self):
        self._log.flush()
        with open(self._log_path, encoding="utf-8", errors="replace") as file:
            return file.read()[-400:].strip()


def ask(port, *words, timeout=5):
    """One command on a connection of its own; a bulk string's text, or the first line."""
    request = b"*%d\r\n" % len(words)
    for word in words:
        data = str(word).encode()
        request += b"$%d\r\n%s\r\n" % (len(data), data)
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as link:
        link.sendall(request)
        with link.makefile("rb") as reply:
            line = reply.readline()
            if not line.endswith(b"\r\n") or line.startswith(b"-"):
                raise BenchError(f"{words[0]} on port {port} gives {line!r}")
            if not line.startswith(b"$"):
                return line[1:-2].decode()
            size = int(line[1:])
            return None if size < 0 else reply.read(size).decode()


def command_calls(port):
    """How often the server executed each command since it started, by name."""
    calls = {}
    for line in ask(port, "INFO", "commandstats").splitlines():
        if line.startswith("cmdstat_"):
            name, fields = line[len("cmdstat_"):].split(":", 1)
            calls[name] = int(fields.split(",")[0].split("=")[1])
    return calls


def family(pid):
    """The process and all that descend from it."""
    members = [pid]
    for member in members:
        for thread in os.listdir(f"/proc/{member}/task"):
            try:
                with open(f"/proc/{member}/task/{thread}/children", encoding="ascii") as file:
                    members.extend(int(child) for child in file.read().split())
            except OSError:
                pass
    return members


def cpu_seconds(pid):
    total = 0
    for member in family(pid):
        for thread in os.listdir(f"/proc/{member}/task"):
            with open(f"/proc/{member}/task/{thread}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
    return total / 1e9


def status_sum(pid, field):
    """The sum of a number of /proc/PID/task/*/status over all threads."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith(field + ":"):
                    total += int(line.split()[1])
    return total


def rss_kib(pid):
    total = 0
    for member in family(pid):
        with open(f"/proc/{member}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1])
    return total


def description():
    """What the figures were measured on."""
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {"processor": model, "processors": os.cpu_count(), "kernel": os.uname().release,
            "load_average": os.getloadavg()[0], "busy": busy_share()}


def busy_share(seconds=1):
    """Of all processors' time, while the bench itself does nothing."""
    def times():
        with open("/proc/stat", encoding="ascii") as file:
            fields = [int(each) for each in file.readline().split()[1:9]]
        return sum(fields), fields[3] + fields[4]
    all_before, idle_before = times()
    time.sleep(seconds)
    everything, idle = times()
    return 1 - (idle - idle_before) / max(everything - all_before, 1)


def has(program):
    return shutil.which(program) is not None
