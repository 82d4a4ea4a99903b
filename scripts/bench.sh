#!/usr/bin/env bash
# Builds Pannier and measures it beside what one would take instead, each in front of one
# redis-server on this machine; tests/bench/README.md explains the method and the figures.
#   scripts/bench.sh            everything, ten minutes; results in build/bench/
#   scripts/bench.sh --quick    what most bars need, two minutes
#   scripts/bench.sh --cell NAME [--rounds N] [--seconds S]   one cell; --list names them
#   scripts/bench.sh --smoke    only that it works, seconds
#   scripts/bench.sh --help     all options
# --no-build takes what is built and installed.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

build=yes
arguments=()
for argument in "$@"; do
  if [[ $argument == --no-build ]]; then
    build=''
  else
    arguments+=("$argument")
  fi
done

if [[ -n $build ]]; then
  "$root/scripts/install_deps.sh" --bench
  build_release --target pannier bench_load bench_memory_server bench_near_cache bench_parts \
    bench_policy >&2
fi
# Debian's own Python is enough: no module but its standard library.
exec /usr/bin/python3 -B "$root/tests/bench/runner" --root "$root" \
  --build "${PANNIER_BUILD:-$root/build/release}" ${arguments[@]+"${arguments[@]}"}
