#include "costs.hpp"
#include "load.hpp"
#include "options.hpp"
#include "workload.hpp"

#include <sys/resource.h>

#include <cstdio>
#include <exception>
#include <iostream>
#include <string>

// The load generator of scripts/bench.sh; tests/bench/README.md tells what it measures.
namespace pannier::bench {
namespace {

using Seconds = std::chrono::duration<double>;

double own_cpu_us() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

void wait_for_line() {
  std::string line;
  std::getline(std::cin, line);
}

struct Measured {
  std::uint64_t requests = 0;
  double seconds = 0;
  double own_us = 0;
};

std::string per_request(const std::optional<std::uint64_t>& count, std::uint64_t requests) {
  return count && requests > 0
             ? std::to_string(static_cast<double>(*count) / static_cast<double>(requests))
             : "null";
}

void print(const Load& load, const Costs& costs, const Measured& measured) {
  const Histogram& times = load.times();
  const std::uint64_t requests = measured.requests;
  const auto divisor = static_cast<double>(requests == 0 ? 1 : requests);
  std::printf("{\"requests\":%llu,\"seconds\":%.6f,\"kops\":%.3f,\"load_cpu_us\":%.4f",
              static_cast<unsigned long long>(requests),
              measured.seconds,
              measured.seconds > 0 ? static_cast<double>(requests) / measured.seconds / 1e3 : 0,
              measured.own_us / divisor);
  std::printf(",\"p50\":%.2f,\"p95\":%.2f,\"p99\":%.2f,\"p999\":%.2f,\"max\":%.2f,\"watched\":[",
              times.quantile(.5) / 1e3,
              times.quantile(.95) / 1e3,
              times.quantile(.99) / 1e3,
              times.quantile(.999) / 1e3,
              static_cast<double>(times.max()) / 1e3);
  const char* comma = "";
  for (const Costs::Cost& cost : costs.costs()) {
    std::printf(
        "%s{\"pid\":%d,\"cpu_us\":%.4f,\"cpu_seconds\":%.6f,\"rss_kib\":%llu,"
        "\"peak_kib\":%llu,\"system_calls\":%s,\"instructions\":%s}",
        comma,
        cost.pid,
        static_cast<double>(cost.cpu_ns) / 1e3 / divisor,
        static_cast<double>(cost.cpu_ns) / 1e9,
        static_cast<unsigned long long>(cost.rss_kib),
        static_cast<unsigned long long>(cost.peak_kib),
        per_request(cost.system_calls, requests).c_str(),
        per_request(cost.user_instructions, requests).c_str());
    comma = ",";
  }
  std::printf("],\"sent\":{");
  comma = "";
  for (std::size_t i = 0; i < kCommands.size(); ++i) {
    if (load.sent()[i] > 0) {
      std::printf("%s\"%s\":%llu",
                  comma,
                  std::string(kCommands[i]).c_str(),
                  static_cast<unsigned long long>(load.sent()[i]));
      comma = ",";
    }
  }
  std::puts("}}");
  std::fflush(stdout);
}

void warm_up(Load& load, const Workload& workload, const Options& options) {
  if (options.sweep) {
    load.play(workload.sweep());
  }
  if (options.rate > 0) {
    load.pace(workload.batches(), options.rate, Seconds(options.warm_up));
    return;
  }
  load.begin(workload.batches());
  load.run_for(Seconds(options.warm_up));
  if (options.requests > 0 || options.hold) {
    load.drain();
  }
}

void measure(Load& load, const Workload& workload, const Options& options) {
  if (options.rate > 0) {
    load.pace(workload.batches(), options.rate, Seconds(options.seconds));
  } else if (options.requests > 0) {
    load.run_requests(options.requests);
  } else if (!options.hold) {
    load.run_for(Seconds(options.seconds));
  }
}

int run(const Options& options) {
  const Workload workload(options);
  Load load(options, workload.padding());
  load.connect();
  Costs costs(options.watched, options.events);
  if (options.fill) {
    load.play(workload.fill());
    print(load, costs, {});
    return 0;
  }
  warm_up(load, workload, options);
  if (options.hold) {
    std::puts("ready");
    std::fflush(stdout);
    wait_for_line();
  }
  load.reset_figures();
  costs.begin();
  const double own_before = own_cpu_us();
  const auto begin = Clock::now();
  measure(load, workload, options);
  const Measured measured{
      load.answered(), Seconds(Clock::now() - begin).count(), own_cpu_us() - own_before};
  costs.end();
  load.drain();
  print(load, costs, measured);
  if (options.hold) {
    wait_for_line();
  }
  return 0;
}

}  // namespace
}  // namespace pannier::bench

int main(int argc, char** argv) {
  try {
    return pannier::bench::run(pannier::bench::parse_options(argc, argv));
  } catch (const std::exception& error) {
    std::cerr << "bench_load: " << error.what() << '\n';
    return 1;
  }
}
