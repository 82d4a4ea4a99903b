#!/usr/bin/env bash
# Runs the client suites through Pannier, with a primary and a replica of its own behind it, once
# without rules for their keys and once with the shop's policy, where they are those of preferences;
# and compares Pannier's replies with a redis-server's, byte by byte.
#   tests/clients/run.sh [--direct] [SUITE...]
# --direct: against redis-server itself, which shows that the suites are right.
# SUITE: redis-py, node-redis, ioredis, compat; all without.
# With PANNIER_HOST and PANNIER_PORT set, the suites can also be run by hand against any server; what
# PANNIER_KEYS says stands before the names of their keys.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
here=$root/tests/clients

direct=''
suites=()
for argument in "$@"; do
  case $argument in
    --direct) direct=yes ;;
    redis-py | node-redis | ioredis | compat) suites+=("$argument") ;;
    *)
      note "usage: $0 [--direct] [redis-py] [node-redis] [ioredis] [compat]"
      exit 2
      ;;
  esac
done
if ((${#suites[@]} == 0)); then
  suites=(redis-py node-redis ioredis compat)
fi

trap stop_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
make_scratch
primary='' replica='' reference='' port='' strict='' shop='' shop_strict=''
panniers=()

# start_with POLICY PORT STRICT: a Pannier with $scratch/POLICY.yaml on these ports.
start_with() {
  local policy=$1 own_port=$2 own_strict=$3 probe admin
  pick_port probe
  pick_port admin
  # In the replica's zone, so that reads go there; read-your-writes keeps the suites deterministic.
  # The second listener refuses AUTH as a server without passwords does.
  cat >"$scratch/$policy.pannier.yaml" <<YAML
version: 1
listen:
  - { address: "127.0.0.1:$own_port" }
  - { address: "127.0.0.1:$own_strict", auth: reject }
probe: { address: "127.0.0.1:$probe" }
admin: { address: "127.0.0.1:$admin" }
zone: b
reads: same-zone
upstream:
  kind: replicated
  allow_monitor: true
  nodes:
    - { address: "127.0.0.1:$primary", zone: a }
    - { address: "127.0.0.1:$replica", zone: b }
policy: $policy.yaml
YAML
  start_pannier "$scratch/$policy.pannier.yaml" "$own_port" "$probe" "$scratch/$policy.log"
  panniers+=("$last_pid")
}

start_redis primary primary
start_redis replica replica --replicaof 127.0.0.1 "$primary"
wait_until 30 replicas_online "$primary" 1 || die "replication does not come up"
subject=$primary
compat_subject=$primary

if [[ -z $direct ]]; then
  # Only for keys that the tests of many misses at once use.
  cat >"$scratch/herd.yaml" <<YAML
  - name: herd
    keys: ["herd:*"]
    reads: primary
    cache: { ttl: 30s }
    miss: { lease: 20s, wait: 3s }
  - name: held
    keys: ["held:*"]
    reads: primary
    cache: { ttl: 30s }
    miss: { lease: 20s, wait: 10s, pipelined: hold }
YAML
  printf 'version: 1\nclasses:\n' | cat - "$scratch/herd.yaml" >"$scratch/policy.yaml"
  sed "/^classes:/r $scratch/herd.yaml" "$root/config/policy.yaml" >"$scratch/shop-policy.yaml"
  pick_port port
  pick_port strict
  start_with policy "$port" "$strict"
  pick_port shop
  pick_port shop_strict
  start_with shop-policy "$shop" "$shop_strict"
  redis-cli -h 127.0.0.1 -p "$shop" set prefs:any v >/dev/null
  (($(redis-cli -h 127.0.0.1 -p "$shop" pttl prefs:any) > 0)) || die "the shop's rules do not act"
  subject=$port
  compat_subject=$strict
fi

install_node_packages() {
  if [[ ! $here/node/node_modules/.package-lock.json -nt $here/node/package-lock.json ]]; then
    (cd "$here/node" && npm ci --ignore-scripts --no-audit --no-fund </dev/null)
    touch "$here/node/node_modules/.package-lock.json"
  fi
}

node_suite() { # FILE
  install_node_packages &&
    (cd "$here/node" && timeout 300 node --test --test-reporter=spec "$1")
}

run_suite() { # NAME
  case $1 in
    redis-py)
      (cd "$here/python" &&
        timeout 300 /usr/bin/python3 -B -m unittest discover --start-directory . --verbose)
      ;;
    node-redis) node_suite node_redis.test.mjs ;;
    ioredis) node_suite ioredis.test.mjs ;;
    compat)
      redis-cli -h 127.0.0.1 -p "$primary" flushall >/dev/null
      timeout 300 /usr/bin/python3 -B "$here/compat.py" "127.0.0.1:$reference" \
        "127.0.0.1:$compat_subject"
      ;;
  esac
}

# How many passed, out of what the suite printed last: each has its own words for it.
counted() { # NAME LOG
  case $1 in
    redis-py) sed -n 's/^Ran \([0-9]*\) tests.*/\1 run/p' "$2" ;;
    compat) sed -n 's/^compat: //p' "$2" ;;
    *) sed -n 's/^[^a-z]*\(pass\|fail\|cancelled\) \([0-9]*\)$/\2 \1/p' "$2" | paste -sd, ;;
  esac | tail -n 1
}

# What compat compares with: a server that nobody else uses, with as many replicas.
if [[ " ${suites[*]} " == *" compat "* ]]; then
  start_redis reference reference
  start_redis _ reference_replica --replicaof 127.0.0.1 "$reference"
  wait_until 30 replicas_online "$reference" 1 || die "replication does not come up"
fi

show_logs() {
  local policy
  for policy in policy shop-policy; do
    printf '\n=== the last of the log of the Pannier with %s\n' "$policy"
    tail -n 50 "$scratch/$policy.log"
  done
}

summary=()
failed=0
take_suite() { # NAME WHERE PORT KEYS
  local outcome=passed pid
  local -x PANNIER_HOST=127.0.0.1 PANNIER_PORT=$3 PANNIER_KEYS=$4
  printf '\n=== %s, %s\n' "$1" "$2"
  run_suite "$1" 2>&1 | tee "$scratch/$1.log" || outcome=FAILED
  if [[ $outcome == FAILED ]]; then
    failed=$((failed + 1))
  fi
  summary+=("$(printf '%-7s %-11s %-24s %s' "$outcome" "$1" "$2" "$(counted "$1" "$scratch/$1.log")")")
  for pid in "${panniers[@]}"; do
    if has_ended "$pid"; then
      show_logs
      die "a Pannier ended during $1"
    fi
  done
}

for suite in "${suites[@]}"; do
  if [[ -n $direct ]]; then
    take_suite "$suite" directly "$subject" ''
    continue
  fi
  take_suite "$suite" "through Pannier" "$subject" ''
  if [[ $suite != compat ]]; then
    take_suite "$suite" "with the shop's policy" "$shop" prefs:
  fi
done

if ((failed)) && [[ -z $direct ]]; then
  show_logs
fi
printf '\n=== client suites\n'
printf '%s\n' "${summary[@]}"
((failed == 0))
