#include "info_section.hpp"

#include <catch2/catch.hpp>

namespace pannier::proxy {

namespace {

const InfoFields kFields{{"sessions", "3"}, {"mode", "a\r\nb"}};

std::string extended(std::string_view reply) {
  std::string out;
  append_info(out, reply, kFields);
  return out;
}

std::string local(const std::vector<std::string_view>& arguments,
                  resp::Version version = resp::Version::Resp2) {
  LocalInfo info;
  info.redis_version = "7.0.15";
  info.process_id = 42;
  info.uptime_seconds = 90000;
  info.connected_clients = 5;
  info.version = version;
  std::string out;
  append_local_info(out, info, arguments, kFields);
  return out;
}

}  // namespace

TEST_CASE("info_section: Pannier's section comes behind upstream's", "[proxy]") {
  CHECK(extended("$24\r\n# Server\r\nredis_mode:x\r\n\r\n") ==
        "$60\r\n# Server\r\nredis_mode:x\r\n\r\n# Pannier\r\nsessions:3\r\nmode:a  b\r\n\r\n");
  CHECK(extended("=28\r\ntxt:# Server\r\nredis_mode:x\r\n\r\n") ==
        "=64\r\ntxt:# Server\r\nredis_mode:x\r\n\r\n# Pannier\r\nsessions:3\r\nmode:a  b\r\n\r\n");
  CHECK(extended("$0\r\n\r\n") == "$34\r\n# Pannier\r\nsessions:3\r\nmode:a  b\r\n\r\n");
}

TEST_CASE("info_section: what is no text is left as it is", "[proxy]") {
  for (const std::string_view reply : {"-NOAUTH Authentication required.\r\n",
                                       "$-1\r\n",
                                       "_\r\n",
                                       "",
                                       "$5\r\nab\r\n",
                                       "$x\r\nab\r\n",
                                       "=2\r\nab\r\n",
                                       "$5"}) {
    CHECK(extended(reply) == reply);
  }
}

TEST_CASE("info_section: without upstream INFO says what clients wait for", "[proxy]") {
  const std::string text =
      "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nprocess_id:42\r\n"
      "uptime_in_seconds:90000\r\nuptime_in_days:1\r\n\r\n"
      "# Clients\r\nconnected_clients:5\r\n\r\n"
      "# Persistence\r\nloading:0\r\n\r\n"
      "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n\r\n"
      "# Cluster\r\ncluster_enabled:0\r\n\r\n"
      "# Keyspace\r\n\r\n"
      "# Pannier\r\nsessions:3\r\nmode:a  b\r\n";
  const std::string bulk = "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
  CHECK(local({"INFO"}) == bulk);
  CHECK(local({"INFO", "everything"}) == bulk);
  CHECK(local({"INFO", "ALL"}) == bulk);
  CHECK(local({"INFO", "Default"}) == bulk);
  CHECK(local({"INFO"}, resp::Version::Resp3) ==
        "=" + std::to_string(text.size() + 4) + "\r\ntxt:" + text + "\r\n");
}

TEST_CASE("info_section: sections are chosen by name", "[proxy]") {
  CHECK(local({"INFO", "PERSISTENCE"}) == "$26\r\n# Persistence\r\nloading:0\r\n\r\n");
  CHECK(local({"INFO", "pannier", "keyspace"}) ==
        "$48\r\n# Keyspace\r\n\r\n# Pannier\r\nsessions:3\r\nmode:a  b\r\n\r\n");
  CHECK(local({"INFO", "foo"}) == "$0\r\n\r\n");
  CHECK(wants_info_section(std::vector<std::string_view>{"INFO"}, "pannier"));
  CHECK_FALSE(wants_info_section(std::vector<std::string_view>{"INFO", "replication"}, "pannier"));
}

}  // namespace pannier::proxy
