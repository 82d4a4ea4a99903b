#!/usr/bin/env bash
# Installs from Debian 12 what is missing to build and run Pannier; does nothing when all is there.
#   --test    also what the client suites need
#   --ci      also clang 14 for fuzzing, format and tidy
#   --bench   also the proxies that the benchmarks compare with
set -euo pipefail

packages=(g++ cmake ninja-build ccache pkg-config git
  libboost1.81-dev libssl-dev libyaml-cpp-dev libspdlog-dev libfmt-dev prometheus-cpp-dev
  libc-ares-dev libcli11-dev libxxhash-dev catch2 libbenchmark-dev libhiredis-dev
  redis-server redis-tools)

for option in "$@"; do
  case $option in
    --test)
      packages+=(python3 python3-redis python3-jsonschema python3-yaml curl ca-certificates
        dnsmasq-base)
      # Any Node from 18 on will do: Debian's own only where there is none.
      command -v node >/dev/null || packages+=(nodejs)
      command -v npm >/dev/null || packages+=(npm)
      ;;
    --ci)
      packages+=(python3 clang-14 libclang-rt-14-dev clang-format-14 clang-tidy-14)
      ;;
    --bench)
      packages+=(python3 nutcracker haproxy valgrind strace binutils util-linux)
      ;;
    *)
      echo "usage: $0 [--test] [--ci] [--bench]" >&2
      exit 2
      ;;
  esac
done

missing=()
installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${binary:Package}\n' |
  sed -n 's/^ii  *\([^: ]*\).*/\1/p')
for package in "${packages[@]}"; do
  grep -qxF -- "$package" <<<"$installed" || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  exit 0
fi

as_root=()
if ((EUID != 0)); then
  command -v sudo >/dev/null || {
    echo "error: missing: ${missing[*]}; installing them needs root or sudo" >&2
    exit 1
  }
  as_root=(sudo)
fi

# Debian starts daemons as it installs them; redis-server must not take port 6379 here. Policy that
# the machine has already is left as it is.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi

install() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null
}

echo "installing: ${missing[*]}"
# The package lists may be absent or too old: fetch them only when it fails without.
if ! apt-get install -s -qq "${missing[@]}" >/dev/null 2>&1 || ! install; then
  "${as_root[@]}" apt-get update -qq
  install
fi
