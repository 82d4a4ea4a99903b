"""Where the instructions go: what callgrind wrote, by function."""

import re
import subprocess

LEAST = 10  # instructions per request of a function that is kept


def by_function(path, requests):
    """Instructions per request of Pannier's own functions with all that they call, by name.

    Functions that the compiler put into their callers have no line of their own.
    """
    told = subprocess.run(["callgrind_annotate", "--inclusive=yes", "--threshold=100",
                           "--auto=no", path], capture_output=True, text=True, timeout=60,
                          check=True).stdout
    functions = {}
    for line in told.splitlines():
        found = re.match(r"\s*([\d,]+) \([^)]*\)\s+\S*?:(pannier::.*)", line)
        if not found:
            continue
        count = int(found.group(1).replace(",", "")) / requests
        name = name_of(found.group(2))
        if count >= LEAST:
            functions[name] = max(count, functions.get(name, 0))
    return functions


def name_of(signature):
    """Without its arguments and where it comes from."""
    name = signature.replace("(anonymous namespace)", "<>").split("(")[0]
    return name.replace("<>", "{}").replace("pannier::", "", 1).split(" [")[0]
