#!/usr/bin/env python3
"""Asks the loader and the JSON Schemas for editors about the same documents: both must say the same.

    schema_test.py PANNIER      (the program)

What only the whole file tells, and ranges of values that have a unit, no schema can say: those
documents are listed apart, and there the loader must refuse what the schema lets through.
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import jsonschema
import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


class Core(yaml.SafeLoader):
    """YAML 1.2's core schema, as editors read it: `off` is a word, `0660` a number."""


Core.yaml_implicit_resolvers = {}
for tag, pattern, first in (
        ("bool", r"^(true|false)$", "tf"),
        ("null", r"^(~|null|)$", ["~", "n", ""]),
        ("int", r"^[-+]?[0-9]+$", "-+0123456789"),
        ("float", r"^[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$", "-+.0123456789")):
    Core.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), first)
Core.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value))


def a_class(text):
    return f"classes: [{{ name: a, keys: [\"a:*\"], {text} }}]"


def a_limit(text):
    return f"limits: [{{ name: a, {text} }}]"


def a_denial(text):
    return f"deny: [{{ name: a, {text} }}]"


def pannier(text):
    return f"upstream: \"127.0.0.1:7001\"\n{text}"


GOOD = [
    "classes: []",
    "version: 1\nread_only: true",
    "mode: off\nclasses: []",
    "defaults: { reads: nearest, on_error: stale }\nclasses: []",
    a_class("tier: session"),
    a_class("cache: off, miss: off, ttl: off"),
    a_class("cache: {}, miss: {}, store: allow, scripts: deny"),
    a_class("cache: { ttl: 1500ms, jitter: 0%, sample: 0.125%, max_value: 1KiB, mget: true }"),
    a_class("ttl: { default: 30m, min: 1s, max: 720h, jitter: 90%, sliding: true, mode: observe }"),
    a_class("store: never, mode: enforce"),
    "classes: [{ name: 5, keys: [1, true, x] , cache: {} }]",
    a_limit("rate: 60/1m"),
    a_limit("rate: 10MiB/1s, burst: 1MiB, cost: bytes, commands: [\"@write\"]"),
    a_limit("rate: 1/1s, keys: [\"{user}:*\"], per: { user }, scope: fleet, on_upstream_error: open"),
    a_limit("rate: 1/1s, keys: [\"{user}:*\"], per: \"{user}\", burst: 0"),
    a_limit("rate: 1/1s, per: client, commands: [get, \"CONFIG SET\", \"config|get\"], mode: off"),
    a_denial("commands: [KEYS], hint: \"use SCAN, please\", mode: observe"),
    a_denial("max_arguments: 100, max_value: 1MiB"),
    pannier(""),
    "upstream: { nodes: [\"a:1\", { address: \"b:1\", zone: z }] }",
    "upstream: { primary: \"a:1\", lanes: { max: 4 }, timeouts: { read: 1s } }",
    pannier("listen: [\"127.0.0.1:1\", { address: \"unix:/a\", mode: 0660, reads: nearest }]"),
    pannier("probe: off\nadmin: \"127.0.0.1:5\""),
    pannier("memory: auto\nworkers: 2\nnear_cache: 1MiB\nzone: imds"),
    pannier("memory: \"${PANNIER_TEST_MEMORY:-64MiB}\"\nworkers: \"${PANNIER_TEST_WORKERS:-1}\""),
    pannier("slowlog: { slower_than: 100us }\nlog: { level: debug, format: json }"),
]

BAD = [
    "classes: {}",
    "clases: []\nclasses: []",
    "version: 2\nclasses: []",
    "mode: on\nclasses: []",
    "read_only: yes",
    "classes: [{ keys: [a] }]",
    "classes: [{ name: a }]",
    "classes: [{ name: a, keys: [] }]",
    "classes: [{ name: a, keys: [\"\"] }]",
    "classes: [{ name: \"a b\", keys: [a] }]",
    a_class("tier: none"),
    a_class("cache: on"),
    a_class("cache: { ttl: 30 }"),
    a_class("cache: { ttl: 30sec }"),
    a_class("cache: { ttl: 0s }"),
    a_class("cache: { jitter: 10 }"),
    a_class("cache: { jitter: 1.5% }"),
    a_class("cache: { max_value: 1MB }"),
    a_class("cache: { mget: maybe }"),
    a_class("cache:"),
    a_class("ttl: 30s"),
    a_class("ttl: { default: 30 }"),
    a_class("ttl: { defualt: 30s }"),
    a_class("store: nowhere"),
    a_class("limits: []"),
    a_limit("keys: [a]"),
    a_limit("rate: 60"),
    a_limit("rate: 60/m"),
    a_limit("rate: 0/1s"),
    a_limit("rate: 60/0s"),
    a_limit("rate: 1/1s, per: user"),
    a_limit("rate: 1/1s, per: { user: x }, keys: [\"{user}\"]"),
    a_limit("rate: 1/1s, per: { a, b }, keys: [\"{a}:{b}\"]"),
    a_limit("rate: 1/1s, burst: -1"),
    a_limit("rate: 1/1s, burst: many"),
    a_limit("rate: 1/1s, commands: [\"a b c\"]"),
    a_limit("rate: 1/1s, commands: [\"@\"]"),
    a_limit("rate: 1/1s, cost: money"),
    a_denial("commands: []"),
    a_denial("commands: get"),
    a_denial("max_arguments: 0"),
    a_denial("max_value: 5"),
    a_denial("commands: [get], hint: \"two\\nlines\""),
    "listen: []",
    pannier("listen: []"),
    pannier("workers: 65"),
    pannier("workers: many"),
    pannier("memory: 64"),
    pannier("upstrem: x"),
    pannier("log: { level: loud }"),
    pannier("users: [{ name: a }]"),
    pannier("users: [{ name: a, password: secret }]"),
    pannier("slowlog: { slower_than: 1 }"),
    "upstream: { nodes: [] }",
    "upstream: { nodes: [{ zone: z }] }",
    "upstream: { nodes: [nowhere] }",
]

# Only the loader can know.
SUBTLE = [
    a_class("ttl: { min: 1h, max: 1s }"),
    a_class("ttl: { sliding: true }"),
    a_class("ttl: { jitter: 91% }"),
    a_class("cache: { ttl: 25h }"),
    a_class("store: never, cache: {}"),
    a_class("tier: session, cache: {}"),
    "classes: [{ name: a, keys: [a], cache: {} }, { name: a, keys: [b], cache: {} }]",
    "classes: [{ name: a, keys: [\"a[\"], cache: {} }]",
    a_limit("rate: 1/1s, per: { user }, keys: [a]"),
    a_limit("rate: 1/1s, class: nowhere"),
    a_limit("rate: 2000000/1s"),
    a_limit("rate: 1MiB/1s"),
    a_limit("rate: 1/1s, commands: [wurst]"),
    a_denial("hint: no"),
    "upstream: { kind: single, nodes: [\"a:1\", \"b:1\"] }",
    pannier("listen: [\"0.0.0.0:1\"]"),
    pannier("memory: 1MiB"),
]


def is_policy(document):
    return bool({"classes", "limits", "deny", "read_only"} & set(document)) and \
        "upstream" not in document


def main():
    program = sys.argv[1]
    validators = {}
    for kind in ("policy", "pannier"):
        schema = json.loads((ROOT / f"config/{kind}.schema.json").read_text())
        jsonschema.Draft7Validator.check_schema(schema)
        validators[kind] = jsonschema.Draft7Validator(schema)
    examples = sorted((ROOT / "config").rglob("*.yaml"))
    assert len(examples) >= 6, examples
    cases = [(path.read_text(), True, True) for path in examples]
    cases += [(text, True, True) for text in GOOD]
    cases += [(text, False, False) for text in BAD]
    cases += [(text, True, False) for text in SUBTLE]
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "file.yaml"
        for text, for_schema, for_loader in cases:
            path.write_text(text)
            document = yaml.load(text, Core)
            kind = "policy" if is_policy(document) else "pannier"
            faults = [error.message for error in validators[kind].iter_errors(document)]
            loader = subprocess.run([program, "check", str(path)], capture_output=True, text=True,
                                    timeout=30, check=False)
            assert loader.returncode in (0, 2), loader
            if (not faults) != for_schema or (loader.returncode == 0) != for_loader:
                wrong += 1
                print(f"--- {kind}: {text}\nschema: {faults or 'fine'}\n"
                      f"loader: {loader.returncode} {loader.stderr}")
    print(f"schema: {len(cases)} documents, {wrong} on which loader and schema are not as expected")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
