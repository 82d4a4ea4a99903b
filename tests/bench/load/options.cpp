#include "options.hpp"

#include <CLI/CLI.hpp>

#include <cstdlib>
#include <map>

namespace pannier::bench {

Options parse_options(int argc, char** argv) {
  Options options;
  CLI::App app("A light load on 127.0.0.1 that checks every reply; prints one line of JSON.");
  const std::map<std::string, Kind> kinds{
      {"get", Kind::Get}, {"getset", Kind::GetSet}, {"mget", Kind::Mget}, {"shop", Kind::Shop}};
  app.add_option("--port", options.port)->required();
  app.add_option("--connections", options.connections)->check(CLI::Range(1, 60'000));
  app.add_option("--pipeline", options.pipeline, "requests in one batch")
      ->check(CLI::Range(1, 10'000));
  app.add_option("--workload", options.kind, "get, getset, mget or shop")
      ->transform(CLI::CheckedTransformer(kinds));
  app.add_option("--prefix", options.prefix, "of keys; twelve digits follow");
  app.add_option("--keys", options.keys)->check(CLI::Range(1, 10'000'000));
  app.add_option("--value", options.value, "bytes")->check(CLI::Range(64, 64 << 20));
  app.add_option("--mget-keys", options.mget_keys)->check(CLI::Range(1, 10'000));
  app.add_option("--warm-up", options.warm_up, "seconds");
  app.add_option("--seconds", options.seconds);
  app.add_option("--requests", options.requests, "measure so many instead of --seconds");
  app.add_option("--rate", options.rate, "batches per second; 0: as replies come");
  app.add_flag("--fill", options.fill, "write all keys and end");
  app.add_flag("--sweep", options.sweep, "read each key once before measuring");
  app.add_flag("--any-value", options.any_value, "do not compare contents, only lengths");
  app.add_flag("--events", options.events, "count system calls and instructions of --watch");
  app.add_flag("--hold", options.hold, "a line on standard input begins, another one ends");
  app.add_option("--watch", options.watched, "pids whose cost is told")->delimiter(',');
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  return options;
}

}  // namespace pannier::bench
