#!/usr/bin/env bash
# Builds Pannier and runs it with a primary and two replicas of its own, in three pretend zones.
#   scripts/run.sh [--port N]          Pannier listens on 127.0.0.1:N (6379)
#   scripts/run.sh --config FILE       Pannier alone, with your configuration
# Ctrl-C stops everything.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

port=6379
config=''
usage() {
  note "usage: $0 [--port N | --config FILE]"
  exit 2
}
while (($#)); do
  case $1 in
    --port)
      [[ ${2:-} =~ ^[0-9]{1,5}$ ]] || usage
      port=$2
      shift 2
      ;;
    --config)
      [[ -n ${2:-} ]] || usage
      config=$2
      shift 2
      ;;
    *) usage ;;
  esac
done

if [[ -n $config && ! -r $config ]]; then
  die "cannot read $config"
fi
if [[ -z $config ]] && port_in_use "$port"; then
  die "port $port on 127.0.0.1 is in use; choose another with --port N"
fi

"$root/scripts/install_deps.sh"
build_release --target pannier
if [[ -n $config ]]; then
  exec "$root/build/release/pannier" serve -c "$config"
fi

trap stop_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
make_scratch
primary='' replica_b='' replica_c='' probe='' admin=''

# The port that people expect when it is free, else any.
port_or_free() { # VARIABLE WANTED
  if port_in_use "$2"; then
    pick_port "$1"
  else
    printf -v "$1" '%s' "$2"
  fi
}

start_redis primary primary
start_redis replica_b replica_b --replicaof 127.0.0.1 "$primary"
start_redis replica_c replica_c --replicaof 127.0.0.1 "$primary"
wait_until 30 replicas_online "$primary" 2 || die "replication does not come up"
port_or_free probe 9180
port_or_free admin 9181

cat >"$scratch/pannier.yaml" <<YAML
version: 1
listen:
  - { address: "127.0.0.1:$port" }
probe: { address: "127.0.0.1:$probe" }
admin: { address: "127.0.0.1:$admin" }
zone: b
reads: same-zone
upstream:
  kind: replicated
  nodes:
    - { address: "127.0.0.1:$primary", zone: a }
    - { address: "127.0.0.1:$replica_b", zone: b }
    - { address: "127.0.0.1:$replica_c", zone: c }
YAML

start_pannier "$scratch/pannier.yaml" "$port" "$probe"
pannier=$last_pid

cat <<TEXT

Pannier runs on 127.0.0.1:$port, in zone b. Behind it, all on 127.0.0.1:
  zone a: $primary (primary)   zone b: $replica_b (replica)   zone c: $replica_c (replica)
Configuration: $scratch/pannier.yaml
Log:           $scratch/pannier.log

Try, in another terminal:
  redis-cli -p $port SET k hello
  redis-cli -p $port GET k
  redis-cli -p $port PANNIER TOPOLOGY
  redis-cli -p $port PANNIER EXPLAIN GET k
  redis-cli -p $port PANNIER STATS
  curl -s http://127.0.0.1:$probe/readyz
  curl -s http://127.0.0.1:$probe/metrics | grep ^pannier_
  redis-cli -p $replica_b SHUTDOWN NOSAVE      # reads go on from zone a or c

Ctrl-C stops all of it.
TEXT

status=0
wait "$pannier" || status=$?
tail -n 20 "$scratch/pannier.log" >&2
note "Pannier ended with status $status"
exit "$((status == 0 ? 1 : status))"
