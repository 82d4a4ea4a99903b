#!/usr/bin/env python3
"""Fails when the tree breaks the rules of the house: layers, heavy headers, sizes, left-overs.

A module includes only modules on lower lines. The libraries that are slow to compile or that we may
want to replace stay in .cpp files. A file has at most 500 lines.
"""
import pathlib
import re
import sys
import tempfile

LINES = {
    "base": 0,
    "resp": 1, "command": 1, "config": 1, "metrics": 1,
    "policy": 2, "cache": 2, "limit": 2, "route": 2,
    "net": 3, "upstream": 3,
    "proxy": 4,
    "admin": 5,
    "app": 6,
}
SAME_LINE = {("upstream", "net")}  # (who, whom)
NOT_MODULES = {"third_party"}  # libraries that are compiled once: no code of ours
HEAVY = re.compile(
    r"(spdlog/|boost/asio|boost/beast|yaml-cpp/|prometheus/|openssl/|hiredis/|ares\.h)")
MAX_LINES = 500
CODE = {".cpp", ".hpp"}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
LEFT_OVER = re.compile(r"\b(TODO|FIXME)\b")


def module_of(path):
    """The module that a file below src/ or include/ belongs to, or None."""
    parts = path.parts
    if parts[0] == "src" and len(parts) > 2:
        return parts[1]
    if parts[:2] == ("include", "pannier") and len(parts) > 3:
        return parts[2]
    return None


def may_include(module, other):
    return (module == other or (module, other) in SAME_LINE or LINES[other] < LINES[module])


def check_include(root, path, module, quote, name):
    """What is wrong with one include of a file of `module`, or None."""
    if path.suffix == ".hpp" and HEAVY.match(name):
        return f"{name} belongs in a .cpp file, behind a facade"
    if name.startswith("pannier/"):
        other = name.split("/")[1]
        if other not in LINES:
            return f"{name}: '{other}' is not a module"
        if not may_include(module, other):
            return (f"{name}: '{module}' (line {LINES[module]}) must not know "
                    f"'{other}' (line {LINES[other]})")
    elif quote == '"' and not (root / path.parent / name).is_file():
        return f'"{name}" is not beside this file; other modules are included as pannier/<module>/'
    elif quote == '"' and ".." in name:
        return f'"{name}" leaves its module'
    return None


def check_file(root, path):
    faults = []
    lines = (root / path).read_text(encoding="utf-8").splitlines()
    if len(lines) > MAX_LINES:
        faults.append((len(lines), f"{len(lines)} lines; at most {MAX_LINES}"))
    if path.parts[0] == "tests":
        return faults
    module = module_of(path)
    if module in NOT_MODULES:
        return faults
    if module not in LINES:
        faults.append((1, "is in no module that scripts/check_layers.py knows"))
        return faults
    for number, line in enumerate(lines, 1):
        if LEFT_OVER.search(line):
            faults.append((number, "left over: do it, or write down why not"))
        found = INCLUDE.match(line)
        if found:
            fault = check_include(root, path, module, *found.groups())
            if fault:
                faults.append((number, fault))
    return faults


def check(root):
    """All faults as "file:line: what", and the number of files that were looked at."""
    faults = []
    files = sorted(
        path.relative_to(root)
        for top in ("include", "src", "tests")
        for path in (root / top).rglob("*")
        if path.suffix in CODE and "node_modules" not in path.parts)
    for path in files:
        faults += [f"{path}:{line}: {what}" for line, what in check_file(root, path)]
    return faults, len(files)


GOOD = {
    "include/pannier/net/poller.hpp": '#pragma once\n#include <boost/intrusive/list.hpp>\n',
    "include/pannier/base/log.hpp": "#include <fmt/core.h>\n",
    "src/net/poller.cpp": '#include "pannier/net/poller.hpp"\n#include <boost/asio/post.hpp>\n',
    "src/net/epoll.hpp": "#pragma once\n",
    "src/net/epoll.cpp": '#include "epoll.hpp"\n#include "pannier/base/log.hpp"\n',
    "src/upstream/lane.cpp": '#include "pannier/net/poller.hpp"\n#include <hiredis/hiredis.h>\n',
    "src/third_party/asio.cpp": "#include <boost/asio/impl/src.hpp>\n",
    "tests/unit/net/poller_test.cpp": '#include "pannier/net/poller.hpp"\n' + "\n" * 499,
}
BAD = {  # file -> (text, what the fault must say)
    "src/net/a.cpp": ('#include "pannier/upstream/lane.hpp"\n', "must not know 'upstream'"),
    "src/base/a.cpp": ('#include "pannier/resp/protocol.hpp"\n', "must not know 'resp'"),
    "src/resp/a.cpp": ('# include <pannier/config/config.hpp>\n', "must not know 'config'"),
    "include/pannier/proxy/a.hpp": ('#include "pannier/admin/http.hpp"\n', "must not know"),
    "include/pannier/net/a.hpp": ("#include <boost/asio.hpp>\n", "belongs in a .cpp"),
    "src/config/a.hpp": ("#include <yaml-cpp/yaml.h>\n", "belongs in a .cpp"),
    "src/route/a.cpp": ('#include "pannier/wurst/a.hpp"\n', "is not a module"),
    "src/route/b.cpp": ('#include "nowhere.hpp"\n', "is not beside this file"),
    "src/route/c.cpp": ('#include "../net/epoll.hpp"\n', "leaves its module"),
    "src/route/d.cpp": ("// TO" + "DO later\n", "left over"),
    "src/route/e.cpp": ("\n" * 501, "at most 500"),
    "src/other/a.cpp": ("\n", "is in no module"),
    "tests/unit/net/long_test.cpp": ("\n" * 501, "at most 500"),
}


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)

        def write(name, text):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

        for name, text in GOOD.items():
            write(name, text)
        faults, count = check(root)
        assert not faults and count == len(GOOD), faults
        for name, (text, expected) in BAD.items():
            write(name, text)
            faults, _ = check(root)
            assert len(faults) == 1, (name, faults)
            assert faults[0].startswith(name + ":") and expected in faults[0], (name, faults)
            (root / name).unlink()
    print(f"check_layers self-test: {len(BAD)} faults are found, {len(GOOD)} good files pass")


def main():
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        return 0
    if sys.argv[1:]:
        print(f"usage: {sys.argv[0]} [--self-test]", file=sys.stderr)
        return 2
    faults, count = check(pathlib.Path(__file__).resolve().parent.parent)
    for fault in faults:
        print(fault)
    print(f"layers: {count} files, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
