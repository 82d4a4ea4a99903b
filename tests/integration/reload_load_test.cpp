#include "near_cache_rig.hpp"
#include "pannier_process.hpp"
#include "raw_client.hpp"
#include "redis_server.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace pannier::test;
using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kHead = "version: 1\nclasses:\n";

double generation(const PannierProcess& pannier) {
  return pannier.metric("pannier_policy_generation");
}

// Writes the file and waits for the answer: 200 when its rules are in force.
std::string load(const PannierProcess& pannier, const std::string& text) {
  std::ofstream(pannier.policy_file(), std::ios::trunc) << text;
  return pannier.post("/reload");
}

PannierOptions options_for(const RedisServer& server, const std::string& policy, int workers = 1) {
  PannierOptions out;
  out.upstream = upstream_of({server.address()});
  out.rest = "workers: " + std::to_string(workers);
  out.policy = policy;
  out.admin = true;
  return out;
}

// A class "k" that is cached or not.
std::string switched(bool cached) {
  return std::string(kHead) + "  - { name: k, keys: [\"counter:*\"], reads: primary" +
         (cached ? ", cache: { ttl: 60s, jitter: 0% } }\n" : " }\n");
}

// Two classes that change together: both are named after the number.
std::string paired(int number) {
  const auto text = std::to_string(number);
  const bool cached = number % 3 != 0;
  const std::string cache = ", cache: { ttl: " + std::to_string(10 + number) + "s } }\n";
  return std::string(kHead) + "  - { name: left" + text + ", keys: [\"left:*\"]" +
         (cached ? cache : ", reads: primary }\n") + "  - { name: right" + text +
         ", keys: [\"right:*\"]" + (cached ? cache : ", reads: primary }\n") +
         "  - { name: steady, keys: [\"steady:*\"], cache: { ttl: 60s } }\n";
}

std::string number_behind(const std::string& text, const std::string& what) {
  const auto at = text.find(what);
  const auto begin = at == std::string::npos ? text.size() : at + what.size();
  return text.substr(begin, text.find_first_not_of("0123456789", begin) - begin);
}

// Declared behind the threads that look at `stop`, so that they end before they are joined when an
// exception ends the test.
struct StopAtEnd {
  std::atomic<bool>& stop;

  explicit StopAtEnd(std::atomic<bool>& flag) : stop(flag) {}

  ~StopAtEnd() { stop = true; }

  StopAtEnd(const StopAtEnd&) = delete;
  StopAtEnd& operator=(const StopAtEnd&) = delete;
};

// What one client of the load counts.
struct Counts {
  std::uint64_t requests = 0;
  std::uint64_t wrong = 0;
  std::uint64_t torn = 0;
  Clock::duration longest{};
};

// Reads and writes keys of its own in all classes, and asks in one pipeline for both of the pair.
Counts hammer(int port, int number, const std::atomic<bool>& stop) {
  RawClient client(port);
  Counts out;
  const std::string id = std::to_string(number);
  for (std::uint64_t round = 0; !stop; ++round) {
    const std::string value = std::to_string(round);
    for (const char* kind : {"left:", "right:", "steady:", "other:"}) {
      const std::string key = kind + id;
      const auto start = Clock::now();
      client.send(request({"SET", key, value}) + request({"GET", key}));
      std::string got = client.read(2);
      client.send(request({"GET", key}) + request({"GET", key}));
      got += client.read(2);
      out.longest = std::max(out.longest, Clock::now() - start);
      out.requests += 4;
      const std::string right = bulk(value);
      out.wrong += got == "+OK\r\n" + right + right + right ? 0 : 1;
    }
    client.send(request({"PANNIER", "EXPLAIN", "GET", "left:1"}) +
                request({"PANNIER", "EXPLAIN", "GET", "right:1"}));
    const std::string left = client.read();
    const std::string right = client.read();
    out.torn += number_behind(left, "class: left") == number_behind(right, "class: right") &&
                        number_behind(left, "generation ") == number_behind(right, "generation ")
                    ? 0
                    : 1;
  }
  return out;
}

}  // namespace

TEST_CASE("reload_load: 200 reloads, good and bad, lose no request and tear no rule") {
  const RedisServer server;
  const PannierProcess pannier(options_for(server, paired(0), 2));
  std::atomic<bool> stop{false};
  std::vector<Counts> counts(4);
  std::vector<std::jthread> clients;
  const StopAtEnd stop_at_end{stop};
  for (std::size_t i = 0; i < counts.size(); ++i) {
    clients.emplace_back([&, i] {
      try {
        counts[i] = hammer(pannier.port(), static_cast<int>(i), stop);
      } catch (const std::exception&) {
        counts[i].wrong = 1;
      }
    });
  }
  int changed = 0;
  int refused = 0;
  for (int i = 1; i <= 200; ++i) {
    const bool bad = i % 4 == 0;
    const auto answer = load(pannier, bad ? paired(i) + "  - { name: x, kyes: [a] }\n" : paired(i));
    changed += answer.starts_with("HTTP/1.1 200 ") ? 1 : 0;
    refused += answer.starts_with("HTTP/1.1 422 ") ? 1 : 0;
  }
  stop = true;
  Clock::duration longest{};
  for (std::size_t i = 0; i < counts.size(); ++i) {
    clients[i].join();
    CHECK(counts[i].requests > 100);
    CHECK(counts[i].wrong == 0);
    CHECK(counts[i].torn == 0);
    longest = std::max(longest, counts[i].longest);
  }
  CHECK(changed == 150);
  CHECK(refused == 50);
  CHECK(generation(pannier) == 151);
  CHECK(pannier.metric("pannier_near_cache_fills_total{class=\"steady\"}") > 0);
  std::cout << "200 reloads: the longest round of four requests took "
            << std::chrono::duration_cast<std::chrono::microseconds>(longest).count() << " us\n";
}

TEST_CASE("reload_load: what changed begins anew, the rest keeps its replies and counters") {
  const std::string both =
      std::string(kHead) + "  - { name: same, keys: [\"same:*\"], cache: { ttl: 60s } }\n";
  const auto with_ttl = [&](const std::string& ttl) {
    return both + "  - { name: other, keys: [\"other:*\"], cache: { ttl: " + ttl + " } }\n";
  };
  RedisServer server;
  CommandWatch watch(server);
  const PannierProcess pannier(options_for(server, with_ttl("60s")));
  RawClient client(pannier.port());
  const auto keep = [&](const std::string& key) {
    REQUIRE(wait_until([&] {
      static_cast<void>(client.call({"GET", key}));
      settle(client);
      const auto before = watch.count({"GET", key});
      static_cast<void>(client.call({"GET", key}));
      return watch.count({"GET", key}) == before;
    }));
  };
  static_cast<void>(client.call({"MSET", "same:1", "a", "other:1", "b"}));
  keep("same:1");
  keep("other:1");
  const auto hits = pannier.metric("pannier_near_cache_hits_total{class=\"same\"}");
  const auto same = watch.count({"GET", "same:1"});
  const auto other = watch.count({"GET", "other:1"});
  REQUIRE(hits > 0);
  REQUIRE(load(pannier, with_ttl("30s")).starts_with("HTTP/1.1 200 "));
  CHECK(client.call({"GET", "same:1"}) == bulk("a"));
  CHECK(client.call({"GET", "other:1"}) == bulk("b"));
  CHECK(watch.count({"GET", "same:1"}) == same);
  CHECK(watch.count({"GET", "other:1"}) == other + 1);
  CHECK(pannier.metric("pannier_near_cache_hits_total{class=\"same\"}") == hits + 1);
  keep("other:1");
}

TEST_CASE("reload_load: to be cached and not to be, while somebody else writes the key") {
  const RedisServer server;
  const PannierProcess pannier(options_for(server, switched(false), 2));
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> backwards{0};
  std::atomic<std::uint64_t> stale{0};
  std::atomic<std::uint64_t> reads{0};
  std::atomic<std::uint64_t> written{0};  // acknowledged to the writer
  std::vector<std::jthread> threads;
  const StopAtEnd stop_at_end{stop};
  threads.emplace_back([&] {
    RawClient direct(server.port());
    for (std::uint64_t n = 1; !stop; ++n) {
      static_cast<void>(direct.call({"SET", "counter:1", std::to_string(n)}));
      written = n;
      // Some reads between two writes, or nothing would ever be kept.
      for (const std::uint64_t seen = reads; !stop && written > 1 && reads < seen + 8;) {
        std::this_thread::yield();
      }
    }
  });
  CHECK(wait_until([&] { return written > 0; }));
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      RawClient client(pannier.port());
      std::uint64_t last = 0;
      while (!stop) {
        const std::uint64_t now = std::stoull(text_of(client.call({"GET", "counter:1"})));
        backwards += now < last ? 1 : 0;
        last = now;
        ++reads;
      }
    });
  }
  RawClient checker(pannier.port());
  for (int i = 0; i < 30; ++i) {
    CHECK(load(pannier, switched(i % 2 == 0)).starts_with("HTTP/1.1 200 "));
    // Whatever is kept now was written after the last change of rules, or is told of.
    const std::uint64_t before = written;
    stale += wait_until(
                 [&] {
                   return std::stoull(text_of(checker.call({"GET", "counter:1"}))) >= before;
                 },
                 2s)
                 ? 0
                 : 1;
  }
  CHECK(load(pannier, switched(false)).starts_with("HTTP/1.1 200 "));
  CHECK(load(pannier, switched(true)).starts_with("HTTP/1.1 200 "));
  CHECK(wait_until([&] { return pannier.metric_sum("pannier_near_cache_hits_total") > 0; }));
  stop = true;
  for (auto& thread : threads) {
    thread.join();
  }
  CHECK(reads > 100);
  CHECK(backwards == 0);
  CHECK(stale == 0);
  const std::uint64_t end = written;
  CHECK(wait_until([&] {
    return text_of(checker.call({"GET", "counter:1"})) == std::to_string(end);
  }));
}

TEST_CASE("reload_load: a thousand classes", "[figures]") {
  const auto thousand = [](int version) {
    std::string out = kHead;
    for (int i = 0; i < 1000; ++i) {
      const auto id = std::to_string(i);
      out += "  - { name: c" + id + ", keys: [\"c" + id + ":*\", \"d" + id +
             ":{id}:x\"], cache: { ttl: " + std::to_string(10 + (i + version) % 50) + "s } }\n";
    }
    return out;
  };
  const RedisServer server;
  const PannierProcess pannier(options_for(server, thousand(0)));
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> asked{0};
  std::vector<std::int64_t> delays;
  std::thread load_client([&] {
    RawClient client(pannier.port());
    while (!stop) {
      const auto start = Clock::now();
      static_cast<void>(client.call({"GET", "c17:1"}));
      delays.push_back((Clock::now() - start).count() / 1000);
      ++asked;
    }
  });
  constexpr std::uint64_t kAlone = 10'000;  // to see what the machine does by itself
  REQUIRE(wait_until([&] { return asked > kAlone; }, 60s));
  const std::size_t alone = asked;
  constexpr int kReloads = 10;
  for (int i = 1; i <= kReloads; ++i) {
    CHECK(load(pannier, thousand(i)).starts_with("HTTP/1.1 200 "));
  }
  stop = true;
  load_client.join();
  REQUIRE(alone > 0);
  const auto longest_alone =
      *std::max_element(delays.begin(), delays.begin() + static_cast<std::ptrdiff_t>(alone));
  delays.erase(delays.begin(), delays.begin() + static_cast<std::ptrdiff_t>(alone));
  std::sort(delays.begin(), delays.end());
  REQUIRE(!delays.empty());
  std::cout << kReloads << " reloads of 1,000 classes under load: " << delays.size()
            << " requests, 99.9 % within " << delays[delays.size() * 999 / 1000]
            << " us, the longest " << delays.back() << " us (without reloads " << longest_alone
            << " us)\n"
            << pannier.log().substr(
                   std::min(pannier.log().size(), pannier.log().rfind("loaded in")))
            << "\n";
  CHECK(generation(pannier) == kReloads + 1);
}
