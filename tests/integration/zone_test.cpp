#include "pannier/base/clock.hpp"
#include "pannier/net/zone_finder.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>
#include <catch2/catch.hpp>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using namespace pannier;
namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

// A variable of the environment for the length of a test.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    setenv(name, value.c_str(), 1);
  }

  ~Variable() { unsetenv(name_); }

  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

// Answers one connection after the other on 127.0.0.1 with the given texts and keeps what it read.
// An empty text: never answers that one.
class FakeHttp {
 public:
  explicit FakeHttp(std::vector<std::string> answers)
      : acceptor_(io_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)),
        port_(acceptor_.local_endpoint().port()),
        thread_([this, texts = std::move(answers)] { serve(texts); }) {}

  ~FakeHttp() { join(); }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  const std::vector<std::string>& requests() {
    join();
    return requests_;
  }

 private:
  void serve(const std::vector<std::string>& answers) {
    for (const auto& text : answers) {
      tcp::socket socket(io_);
      acceptor_.accept(socket);
      asio::streambuf buffer;
      boost::system::error_code ignored;
      const auto size = asio::read_until(socket, buffer, "\r\n\r\n", ignored);
      requests_.emplace_back(static_cast<const char*>(buffer.data().data()), size);
      if (text.empty()) {
        asio::read_until(socket, buffer, "never", ignored);  // until the other side gives up
      } else {
        asio::write(socket, asio::buffer(text), ignored);
      }
    }
  }

  void join() {
    if (thread_.joinable()) {
      thread_.join();
    }
  }

  asio::io_context io_;
  tcp::acceptor acceptor_;
  std::uint16_t port_;
  std::vector<std::string> requests_;
  std::thread thread_;
};

std::string ok(const std::string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

struct Found {
  int calls = 0;
  bool at_once = false;
  std::string zone;
  std::string source;
};

Found find(const config::Config& config) {
  Found out;
  asio::io_context io;
  net::find_zone(io, config, [&out](std::string zone, std::string source) {
    ++out.calls;
    out.zone = std::move(zone);
    out.source = std::move(source);
  });
  out.at_once = out.calls == 1;
  io.run();
  REQUIRE(out.calls == 1);
  return out;
}

config::Config config_with(const std::string& zone, const std::string& imds = "127.0.0.1:1") {
  config::Config out;
  out.zone = zone;
  out.imds_address = imds;
  return out;
}

}  // namespace

TEST_CASE("zone: a name in the configuration wins, at once") {
  const Variable variable("PANNIER_ZONE", "elsewhere");
  const auto found = find(config_with("eu-west-1a"));
  REQUIRE(found.at_once);
  REQUIRE(found.zone == "eu-west-1a");
  REQUIRE(found.source == "configuration");
}

TEST_CASE("zone: PANNIER_ZONE wins over the file") {
  const Variable variable("PANNIER_ZONE", " eu-west-1b\n");
  auto config = config_with("auto");
  config.zone_file = "/dev/null";
  const auto found = find(config);
  REQUIRE(found.at_once);
  REQUIRE(found.zone == "eu-west-1b");
  REQUIRE(found.source == "PANNIER_ZONE");
}

TEST_CASE("zone: the file's whole trimmed content is the name") {
  const auto path =
      std::filesystem::temp_directory_path() / ("pannier_zone_" + std::to_string(getpid()));
  auto config = config_with("auto");
  config.zone_file = path.string();
  std::ofstream(path) << "\n eu-west-1c \n";
  REQUIRE(find(config).zone == "eu-west-1c");
  REQUIRE(find(config).source == path.string());
  std::ofstream(path) << "two words\n";
  REQUIRE(find(config).zone.empty());
  std::filesystem::remove(path);
  const auto found = find(config);
  REQUIRE(found.at_once);
  REQUIRE(found.zone.empty());
  REQUIRE(found.source == path.string() + " names none");
}

TEST_CASE("zone: auto asks nobody where no platform is named") {
  const auto found = find(config_with("auto"));
  REQUIRE(found.at_once);
  REQUIRE(found.zone.empty());
  REQUIRE(found.source == "neither configuration nor platform names it");
}

TEST_CASE("zone: ECS names the zone of the task") {
  FakeHttp ecs({ok(R"({"Cluster":"c","AvailabilityZone":"eu-west-1a","Containers":[]})")});
  const Variable variable("ECS_CONTAINER_METADATA_URI_V4", "http://" + ecs.address() + "/v4/abc");
  const auto found = find(config_with("auto"));
  REQUIRE_FALSE(found.at_once);
  REQUIRE(found.zone == "eu-west-1a");
  REQUIRE(found.source == "ECS");
  REQUIRE(ecs.requests().front().starts_with("GET /v4/abc/task HTTP/1.1\r\n"));
}

TEST_CASE("zone: what ECS cannot tell is a reason, never a fault") {
  for (const std::string& answer :
       {ok("{}"),
        ok("not json"),
        ok(R"({"AvailabilityZone":7})"),
        ok(R"({"AvailabilityZone":"two words"})"),
        std::string("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        std::string("what is this\r\n\r\n")}) {
    FakeHttp ecs({answer});
    const Variable variable("ECS_CONTAINER_METADATA_URI_V4", "http://" + ecs.address());
    const auto found = find(config_with("auto"));
    REQUIRE(found.zone.empty());
    REQUIRE(found.source.starts_with("ECS: "));
  }
}

TEST_CASE("zone: an ECS address that is none is not asked") {
  const Variable variable("ECS_CONTAINER_METADATA_URI_V4", "https://metadata.invalid/v4");
  const auto found = find(config_with("auto"));
  REQUIRE(found.zone.empty());
  REQUIRE(found.source.starts_with("ECS: not an address"));
}

TEST_CASE("zone: imds asks for a token and then for the zone") {
  FakeHttp imds({ok("TOKEN=="), ok("eu-west-1b")});
  const auto found = find(config_with("imds", imds.address()));
  REQUIRE(found.zone == "eu-west-1b");
  REQUIRE(found.source == "IMDS");
  const auto& requests = imds.requests();
  REQUIRE(requests[0].starts_with("PUT /latest/api/token HTTP/1.1\r\n"));
  REQUIRE(requests[0].find("X-aws-ec2-metadata-token-ttl-seconds: 60\r\n") != std::string::npos);
  REQUIRE(
      requests[1].starts_with("GET /latest/meta-data/placement/availability-zone HTTP/1.1\r\n"));
  REQUIRE(requests[1].find("X-aws-ec2-metadata-token: TOKEN==\r\n") != std::string::npos);
}

TEST_CASE("zone: imds follows ECS when that does not know, and both reasons are told") {
  FakeHttp ecs({ok("{}")});
  FakeHttp imds({"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"});
  const Variable variable("ECS_CONTAINER_METADATA_URI_V4", "http://" + ecs.address());
  const auto found = find(config_with("imds", imds.address()));
  REQUIRE(found.zone.empty());
  REQUIRE(found.source == "ECS: the task has no zone; IMDS: status 403");
}

TEST_CASE("zone: an endpoint that never answers costs a second in total") {
  FakeHttp imds({ok("TOKEN"), ""});
  const auto started = base::Clock::now();
  const auto found = find(config_with("imds", imds.address()));
  const auto took = base::Clock::now() - started;
  REQUIRE(found.zone.empty());
  REQUIRE(found.source == "IMDS: no answer within 1s");
  REQUIRE(took >= 900ms);
  REQUIRE(took < 1500ms);
}
