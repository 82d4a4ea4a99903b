#include "pannier/route/node_roles.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace pannier::route;

TEST_CASE("probe_answer: ROLE of a primary") {
  ProbeAnswer answer;
  REQUIRE(read_role({"master", "3129659", "2"}, answer));
  REQUIRE(answer.role == Role::Primary);
  REQUIRE(answer.written_offset == 3129659U);
  REQUIRE(answer.connected_replicas == 2);
}

TEST_CASE("probe_answer: ROLE of a replica") {
  ProbeAnswer answer;
  REQUIRE(read_role({"slave", "10.0.0.1", "6379", "connected", "3167038"}, answer));
  REQUIRE(answer.role == Role::Replica);
  REQUIRE(answer.link_up);
  REQUIRE(answer.applied_offset == 3167038U);
  REQUIRE(answer.following == "10.0.0.1:6379");
}

TEST_CASE("probe_answer: ROLE of a replica without a primary knows no offset") {
  ProbeAnswer answer;
  REQUIRE(read_role({"slave", "10.0.0.1", "6379", "connect", "-1"}, answer));
  REQUIRE_FALSE(answer.link_up);
  REQUIRE_FALSE(answer.applied_offset);
}

TEST_CASE("probe_answer: what is not ROLE's reply is refused") {
  ProbeAnswer answer;
  REQUIRE_FALSE(read_role({}, answer));
  REQUIRE_FALSE(read_role({"sentinel", "3"}, answer));
  REQUIRE_FALSE(read_role({"slave", "10.0.0.1"}, answer));
  REQUIRE(answer.role == Role::Unknown);
}

TEST_CASE("probe_answer: INFO of a Valkey primary") {
  ProbeAnswer answer;
  read_info(
      "# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\n"
      "redis_mode:standalone\r\nrun_id:abc\r\navailability_zone:eu-west-1a\r\n",
      answer);
  read_info(
      "# Replication\r\nrole:master\r\nconnected_slaves:1\r\n"
      "slave0:ip=127.0.0.1,port=7001,state=online,offset=42,lag=0\r\n"
      "master_replid:hist\r\nmaster_repl_offset:42\r\n",
      answer);
  read_info("# Persistence\r\nloading:0\r\nasync_loading:1\r\n", answer);
  REQUIRE(answer.version == "7.2.4");
  REQUIRE(answer.run_id == "abc");
  REQUIRE(answer.zone == "eu-west-1a");
  REQUIRE(answer.role == Role::Primary);
  REQUIRE(answer.connected_replicas == 1);
  REQUIRE(answer.replication_id == "hist");
  REQUIRE(answer.written_offset == 42U);
  REQUIRE_FALSE(answer.loading);
  REQUIRE_FALSE(answer.cluster);
}

TEST_CASE("probe_answer: INFO of a replica") {
  ProbeAnswer answer;
  read_info(
      "role:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\n"
      "master_link_status:up\r\nslave_read_repl_offset:56\r\nslave_repl_offset:42\r\n"
      "master_replid:hist\r\nmaster_repl_offset:56\r\nloading:1\r\n",
      answer);
  REQUIRE(answer.role == Role::Replica);
  REQUIRE(answer.following == "10.0.0.1:6379");
  REQUIRE(answer.link_up);
  REQUIRE(answer.applied_offset == 42U);
  REQUIRE(answer.loading);
}

TEST_CASE("probe_answer: odd INFO texts do no harm") {
  ProbeAnswer answer;
  read_info("", answer);
  read_info(":\r\n\n\r\nrole", answer);
  read_info("slave_repl_offset:99999999999999999999\nconnected_slaves:x", answer);
  REQUIRE(answer.role == Role::Unknown);
  REQUIRE_FALSE(answer.applied_offset);
  REQUIRE(answer.connected_replicas == 0);
}
