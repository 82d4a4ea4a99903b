"""Where the instructions go: what callgrind wrote, by function."""

import collections
import re
import subprocess

LEAST = 10  # instructions per request of a function that is kept


def by_function(path, requests):
    """Instructions per request of Pannier's own functions with all that they call, by name.

    Functions that the compiler put into their callers have no line of their own.
    """
    functions = {}
    for count, _, name in _lines(path, "--inclusive=yes"):
        if name.startswith("pannier::") and count / requests >= LEAST:
            name = name_of(name)
            functions[name] = max(count / requests, functions.get(name, 0))
    return functions


def by_module(path, requests):
    """Instructions per request, each counted once, by the module whose source file has them; what is
    inlined out of the standard library counts for the module that uses it."""
    modules = collections.Counter()
    for count, file, name in _lines(path, "--inclusive=no"):
        own = re.search(r"(?:src|include/pannier)/(\w+)/", file)
        user = re.match(r"pannier::(\w+)::", name)
        modules[own.group(1) if own else "Asio" if "boost" in file else
                user.group(1) if user else "libraries"] += count / requests
    return dict(modules)


def _lines(path, how):
    """Instructions, file and function of each line of callgrind_annotate."""
    told = subprocess.run(["callgrind_annotate", how, "--threshold=100", "--auto=no", path],
                          capture_output=True, text=True, timeout=60, check=True).stdout
    for line in told.splitlines():
        found = re.match(r"\s*([\d,]+) \([^)]*\)\s+(\S*?):(\S.*)", line)
        if found:
            yield int(found.group(1).replace(",", "")), found.group(2), found.group(3)


def name_of(signature):
    """Without its arguments and where it comes from."""
    name = signature.replace("(anonymous namespace)", "<>").split("(")[0]
    return name.replace("<>", "{}").replace("pannier::", "", 1).split(" [")[0]
