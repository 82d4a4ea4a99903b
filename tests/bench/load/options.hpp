#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace pannier::bench {

enum class Kind {
  Get,
  GetSet,  // ten GET, one SET
  Mget,    // ten keys each
  Shop,    // hashes, counters, sorted sets, sessions
};

/// What one run of the load generator does; a value, read from the command line.
struct Options {
  std::uint16_t port = 0;
  std::size_t connections = 50;
  std::size_t pipeline = 1;  // requests in one batch
  Kind kind = Kind::Get;
  std::string prefix = "cart:";  // of keys; twelve digits follow
  std::size_t keys = 100'000;
  std::size_t value = 100;     // bytes
  std::size_t mget_keys = 10;  // of one MGET
  double warm_up = 0.2;        // seconds, not measured
  double seconds = 1;          // measured
  std::uint64_t requests = 0;  // instead of seconds, when not 0
  double rate = 0;             // batches per second, evenly spaced; 0: as fast as replies come
  bool fill = false;           // write all keys and end
  bool sweep = false;          // before measuring, read each key once
  bool any_value = false;      // the server answers each GET with the same bytes
  bool events = false;         // count system calls and instructions of `watched`
  bool hold = false;           // wait for a line on standard input before and after measuring
  std::vector<int> watched;    // pids whose processor time is read
};

/// Of the program's arguments; ends the program with a usage on any fault.
Options parse_options(int argc, char** argv);

}  // namespace pannier::bench
