#include "probe_exchange.hpp"

#include <catch2/catch.hpp>

#include <string>

using pannier::config::Config;
using pannier::config::Credentials;
using pannier::route::Role;
using pannier::upstream::ProbeExchange;
using Progress = ProbeExchange::Progress;

namespace {

std::string bulk(const std::string& text) {
  return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
}

const std::string kRole =
    "*3\r\n$6\r\nmaster\r\n:42\r\n*1\r\n*3\r\n$9\r\n127.0.0.1\r\n$4\r\n7001\r\n$2\r\n42\r\n";
const std::string kPersistence = bulk("loading:0\r\n");
const std::string kReplication =
    bulk("role:master\r\nmaster_replid:h\r\nmaster_repl_offset:43\r\n");
const std::string kRound = kRole + kPersistence + kReplication;

}  // namespace

TEST_CASE("probe_exchange: a round asks ROLE and INFO, whole") {
  const ProbeExchange round(Config{}, false);
  REQUIRE(round.request() ==
          "*1\r\n$4\r\nROLE\r\n*2\r\n$4\r\nINFO\r\n$11\r\npersistence\r\n"
          "*2\r\n$4\r\nINFO\r\n$11\r\nreplication\r\n");
}

TEST_CASE("probe_exchange: a new connection authenticates and says its name first") {
  Config config;
  config.service = "cart";
  config.upstream.auth = Credentials{"app", "s3cret"};
  const ProbeExchange named(config, true);
  REQUIRE(
      named.request().starts_with("*3\r\n$4\r\nAUTH\r\n$3\r\napp\r\n$6\r\ns3cret\r\n"
                                  "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$18\r\n"
                                  "pannier:cart:probe\r\n"));
  config.upstream.auth->user.clear();
  const ProbeExchange unnamed(config, true);
  REQUIRE(unnamed.request().starts_with("*2\r\n$4\r\nAUTH\r\n$6\r\ns3cret\r\n"));
}

TEST_CASE("probe_exchange: the answer is there once every reply is, byte by byte") {
  ProbeExchange round(Config{}, false);
  for (std::size_t i = 0; i + 1 < kRound.size(); ++i) {
    REQUIRE(round.feed(kRound.substr(i, 1)) == Progress::More);
  }
  REQUIRE(round.feed(kRound.substr(kRound.size() - 1)) == Progress::Done);
  REQUIRE(round.answer().role == Role::Primary);
  REQUIRE(round.answer().connected_replicas == 1);
  REQUIRE(round.answer().written_offset == 43U);  // INFO came later than ROLE
  REQUIRE(round.answer().replication_id == "h");
}

TEST_CASE("probe_exchange: refused questions are noted and the others count") {
  ProbeExchange round(Config{}, false);
  REQUIRE(round.feed(kRole + "-NOPERM this user has no permissions to run the 'info' command\r\n"
                             "-ERR unknown command 'INFO'\r\n") == Progress::Done);
  REQUIRE(round.refused() == "INFO persistence, INFO replication");
  REQUIRE(round.answer().written_offset == 42U);
}

TEST_CASE("probe_exchange: a wrong password is fatal and says so") {
  Config config;
  config.upstream.auth = Credentials{"", "wrong"};
  ProbeExchange round(config, true);
  REQUIRE(round.feed("-WRONGPASS invalid username-password pair\r\n") == Progress::Failed);
  REQUIRE(round.error() == "authentication failed: WRONGPASS invalid username-password pair");
}

TEST_CASE("probe_exchange: an old server without names of connections does no harm") {
  ProbeExchange round(Config{}, true);
  REQUIRE(round.feed("-ERR unknown command 'CLIENT'\r\n" + bulk("run_id:r\r\n") + kRound) ==
          Progress::Done);
  REQUIRE(round.refused().empty());
  REQUIRE(round.answer().run_id == "r");
}

TEST_CASE("probe_exchange: any other error means that the node cannot be used") {
  for (const std::string error : {"NOAUTH Authentication required.",
                                  "ERR max number of clients reached",
                                  "BUSY Redis is busy running a script.",
                                  "DENIED Redis is running in protected mode"}) {
    ProbeExchange round(Config{}, true);
    REQUIRE(round.feed("-" + error + "\r\n") == Progress::Failed);
    REQUIRE(round.error() == "answers " + error);
  }
}

TEST_CASE("probe_exchange: what is not RESP, or not asked, or no Redis fails") {
  ProbeExchange http(Config{}, false);
  REQUIRE(http.feed("HTTP/1.1 400 Bad Request\r\n\r\n") == Progress::Failed);
  REQUIRE(http.error().starts_with("does not speak RESP"));

  ProbeExchange more(Config{}, false);
  REQUIRE(more.feed(kRound + "+OK\r\n") == Progress::Failed);

  ProbeExchange sentinel(Config{}, false);
  REQUIRE(sentinel.feed("*2\r\n$8\r\nsentinel\r\n*0\r\n") == Progress::Failed);
}

TEST_CASE("probe_exchange: endless replies are cut off") {
  ProbeExchange round(Config{}, false);
  REQUIRE(round.feed("$100000000\r\n") == Progress::More);
  auto progress = Progress::More;
  for (int i = 0; i < 40 && progress == Progress::More; ++i) {
    progress = round.feed(std::string(64 * 1024, 'x'));
  }
  REQUIRE(progress == Progress::Failed);
}
