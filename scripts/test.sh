#!/usr/bin/env bash
# Builds Pannier and tests it; everything, or only the parts that are named:
#   scripts/test.sh [--unit] [--integration] [--chaos] [--clients]
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

labels=()
clients=''
for option in "$@"; do
  case $option in
    --unit) labels+=(unit) ;;
    --integration) labels+=(integration) ;;
    --chaos) labels+=(chaos) ;;
    --clients) clients=yes ;;
    *)
      note "usage: $0 [--unit] [--integration] [--chaos] [--clients]"
      exit 2
      ;;
  esac
done
if (($# == 0)); then
  labels=(unit integration chaos)
  clients=yes
fi

"$root/scripts/install_deps.sh" --test
build_release --target all
failed=()
for label in "${labels[@]}"; do
  ctest --test-dir "$root/build/release" -L "^$label\$" --output-on-failure --no-tests=error ||
    failed+=("$label")
done
if [[ -n $clients ]]; then
  "$root/tests/clients/run.sh" || failed+=(clients)
fi
if ((${#failed[@]})); then
  die "failed: ${failed[*]}"
fi
