#include "tracking_session.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

using namespace pannier;
using namespace std::chrono_literals;
using upstream::Rung;
using upstream::TrackingAsk;
using upstream::TrackingEnd;
using upstream::TrackingRequest;
using upstream::TrackingSession;
using Source = TrackingSession::Source;
using Verdict = TrackingSession::Verdict;

namespace {

constexpr auto kHearer = TrackingEnd::Hearer;
constexpr auto kCompanion = TrackingEnd::Companion;

std::string info(const std::string& run_id) {
  const std::string text = "# Server\r\nrun_id:" + run_id + "\r\n";
  return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
}

// A session and a clock; what it asks is written down as "hearer CLIENT TRACKING ...".
struct Script {
  explicit Script(Rung rung, bool primary = true, std::string run_id = "")
      : session({rung, primary, std::move(run_id), {"a:", "pannier:canary"}}, 1) {}

  void open() {
    session.opened(kHearer, 7, now);
    if (session.needs_companion()) {
      session.opened(kCompanion, 8, now);
    }
  }

  void reply(TrackingEnd end, TrackingAsk ask, const std::string& bytes) {
    session.reply(end, ask, bytes, now);
  }

  // Until it has to be proven.
  void register_all() {
    open();
    reply(kHearer, TrackingAsk::Info, info("r1"));
    if (session.goal().rung == Rung::Redirect) {
      reply(kCompanion, TrackingAsk::Info, info("r1"));
      reply(kHearer, TrackingAsk::Subscribe, "*3\r\n...\r\n");
      reply(kCompanion, TrackingAsk::Track, "+OK\r\n");
    } else {
      reply(kHearer,
            session.goal().rung == Rung::Channel ? TrackingAsk::Subscribe : TrackingAsk::Track,
            "+OK\r\n");
    }
    REQUIRE(session.verdict() == Verdict::Going);
    requests();
  }

  void prove() {
    register_all();
    REQUIRE(session.take_wish());
    session.canary_sent(session.goal().rung, "v1", now);
    session.canary_answered("v1", "+OK\r\n", now);
    session.canary_heard(session.goal().rung == Rung::Channel ? "v1" : "", now);
    REQUIRE(session.verdict() == Verdict::Coherent);
  }

  void pass(base::Duration time) {
    now += time;
    session.time(now);
  }

  std::vector<std::string> requests() {
    std::vector<std::string> out;
    for (const TrackingRequest& request : session.take_requests()) {
      std::string line = request.end == kHearer ? "hearer" : "companion";
      bool is_word = false;
      for (std::size_t at = 0; at < request.bytes.size();) {
        const auto end = request.bytes.find("\r\n", at);
        if (is_word) {
          line += " " + request.bytes.substr(at, end - at);
        }
        is_word = !is_word && at != 0;
        at = end + 2;
      }
      out.push_back(line);
    }
    return out;
  }

  TrackingSession session;
  base::TimePoint now = base::TimePoint{} + 1000s;
};

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("tracking_session: RESP3 registers on the connection that hears", "[upstream]") {
  Script script(Rung::Resp3);
  REQUIRE(script.session.needs_companion());
  script.session.opened(kHearer, 7, script.now);
  REQUIRE(script.requests().empty());
  script.session.opened(kCompanion, 8, script.now);
  REQUIRE(script.requests() ==
          Lines{"hearer INFO server",
                "hearer CLIENT TRACKING ON BCAST PREFIX a: PREFIX pannier:canary"});
  script.reply(kHearer, TrackingAsk::Info, info("r1"));
  REQUIRE_FALSE(script.session.take_wish());
  script.reply(kHearer, TrackingAsk::Track, "+OK\r\n");
  REQUIRE(script.session.take_wish());
  REQUIRE(script.session.run_id() == "r1");
  REQUIRE(script.session.verdict() == Verdict::Going);
  script.session.canary_heard("", script.now);
  REQUIRE(script.session.verdict() == Verdict::Coherent);
}

TEST_CASE("tracking_session: a RESP2 companion is tracked only when somebody listens",
          "[upstream]") {
  Script script(Rung::Redirect, false);
  REQUIRE(script.session.needs_companion());
  script.open();
  REQUIRE(script.requests() == Lines{"hearer INFO server",
                                     "companion INFO server",
                                     "hearer SUBSCRIBE __redis__:invalidate"});
  script.reply(kHearer, TrackingAsk::Info, info("r1"));
  script.reply(kCompanion, TrackingAsk::Info, info("r1"));
  script.reply(kHearer, TrackingAsk::Subscribe, "*3\r\n$9\r\nsubscribe\r\n");
  REQUIRE(script.requests() ==
          Lines{"companion CLIENT TRACKING ON REDIRECT 7 BCAST PREFIX a: PREFIX pannier:canary"});
  REQUIRE_FALSE(script.session.take_wish());
  script.reply(kCompanion, TrackingAsk::Track, "+OK\r\n");
  REQUIRE(script.session.take_wish());
}

TEST_CASE("tracking_session: the channels", "[upstream]") {
  Script script(Rung::Channel, false);
  REQUIRE_FALSE(script.session.needs_companion());
  script.open();
  REQUIRE(script.requests() ==
          Lines{"hearer INFO server",
                "hearer SUBSCRIBE pannier:invalidate pannier:flush pannier:canary"});
}

TEST_CASE("tracking_session: refusals cost a rung, and the reason says what to grant",
          "[upstream]") {
  const Rung rung = GENERATE(Rung::Resp3, Rung::Redirect, Rung::Channel);
  const bool tracks = rung == Rung::Resp3;
  Script script(rung);
  script.open();
  script.reply(kHearer,
               tracks ? TrackingAsk::Track : TrackingAsk::Subscribe,
               "-NOPERM this user has no permissions\r\n");
  REQUIRE(script.session.verdict() == Verdict::Fall);
  INFO(script.session.reason());
  REQUIRE(script.session.reason().find(" is refused: NOPERM this") != std::string::npos);
  REQUIRE(script.session.reason().find(tracks ? "grant +client|tracking" : "grant +subscribe") !=
          std::string::npos);
  REQUIRE(script.requests().empty());
  REQUIRE_FALSE(script.session.due());
}

TEST_CASE("tracking_session: what passes by itself costs no rung", "[upstream]") {
  Script script(Rung::Resp3);
  script.open();
  script.reply(kHearer, TrackingAsk::Track, "-LOADING Redis is loading\r\n");
  REQUIRE(script.session.verdict() == Verdict::Fail);
}

TEST_CASE("tracking_session: a server without HELLO 3 costs a rung, a lost connection none",
          "[upstream]") {
  const auto verdict = [](Rung rung, TrackingEnd end, std::string_view refusal) {
    Script script(rung);
    script.session.closed(end, "closed by the node", refusal);
    return script.session.verdict();
  };
  REQUIRE(verdict(Rung::Resp3, kHearer, "-ERR unknown command 'HELLO'\r\n") == Verdict::Fall);
  REQUIRE(verdict(Rung::Resp3, kHearer, "-NOPROTO sorry\r\n") == Verdict::Fall);
  REQUIRE(verdict(Rung::Resp3, kHearer, "") == Verdict::Fail);
  REQUIRE(verdict(Rung::Resp3, kHearer, "-WRONGPASS no\r\n") == Verdict::Fail);
  REQUIRE(verdict(Rung::Resp3, kHearer, "-ERR max number of clients reached\r\n") == Verdict::Fail);
  REQUIRE(verdict(Rung::Resp3, kCompanion, "-ERR unknown command\r\n") == Verdict::Fail);
  REQUIRE(verdict(Rung::Redirect, kHearer, "-ERR unknown command\r\n") == Verdict::Fail);
}

TEST_CASE("tracking_session: redirection needs the id of who hears", "[upstream]") {
  Script script(Rung::Redirect);
  script.session.opened(kHearer, 0, script.now);
  script.session.opened(kCompanion, 0, script.now);
  REQUIRE(script.session.verdict() == Verdict::Fall);
  REQUIRE(script.session.reason() == "CLIENT ID is refused; grant +client|id");
}

TEST_CASE("tracking_session: another server than the topology says is not heard", "[upstream]") {
  Script script(Rung::Resp3, true, "r1");
  script.open();
  script.reply(kHearer, TrackingAsk::Info, info("r2"));
  REQUIRE(script.session.verdict() == Verdict::Fail);
  REQUIRE(script.session.reason() == "another server answers there: run_id r2 instead of r1");
}

TEST_CASE("tracking_session: both connections must be on one server", "[upstream]") {
  Script script(Rung::Redirect);
  script.open();
  script.reply(kHearer, TrackingAsk::Info, info("r1"));
  script.reply(kCompanion, TrackingAsk::Info, info("r2"));
  REQUIRE(script.session.verdict() == Verdict::Fail);
  REQUIRE(script.session.reason() == "two servers answer at one address: run_id r2 and r1");
}

TEST_CASE("tracking_session: without INFO the canary is the proof", "[upstream]") {
  Script script(Rung::Resp3, true, "r1");
  script.open();
  script.reply(kHearer, TrackingAsk::Info, "-NOPERM no INFO\r\n");
  script.reply(kHearer, TrackingAsk::Track, "+OK\r\n");
  script.session.canary_heard("", script.now);
  REQUIRE(script.session.verdict() == Verdict::Coherent);
  REQUIRE(script.session.run_id().empty());
}

TEST_CASE("tracking_session: no answer within 1 s while it registers is a loss", "[upstream]") {
  Script script(Rung::Resp3);
  script.open();
  REQUIRE(script.session.due() == script.now + 1s);
  script.pass(999ms);
  REQUIRE(script.session.verdict() == Verdict::Going);
  script.pass(1ms);
  REQUIRE(script.session.verdict() == Verdict::Fail);
}

TEST_CASE("tracking_session: a canary that does not come costs a rung when PING is answered",
          "[upstream]") {
  const Rung rung = GENERATE(Rung::Resp3, Rung::Redirect, Rung::Channel);
  Script script(rung);
  script.register_all();
  script.session.canary_sent(rung, "v1", script.now);
  script.pass(300ms);
  script.session.canary_answered("v1", "+OK\r\n", script.now);
  script.pass(999ms);
  REQUIRE(script.requests().empty());
  script.pass(1ms);
  REQUIRE(script.requests() == Lines{"hearer PING"});
  REQUIRE(script.session.verdict() == Verdict::Going);
  script.reply(kHearer, TrackingAsk::Ping, "+PONG\r\n");
  REQUIRE(script.session.verdict() == Verdict::Fall);
  REQUIRE(script.session.reason() == "the canary did not arrive, although PING was answered");
}

TEST_CASE("tracking_session: a canary that comes before the PING's answer is in time",
          "[upstream]") {
  Script script(Rung::Resp3);
  script.register_all();
  script.session.canary_sent(Rung::Resp3, "v1", script.now);
  script.session.canary_answered("v1", "+OK\r\n", script.now);
  script.pass(1s);
  script.session.canary_heard("", script.now);
  script.reply(kHearer, TrackingAsk::Ping, "+PONG\r\n");
  REQUIRE(script.session.verdict() == Verdict::Coherent);
}

TEST_CASE("tracking_session: where PING is not answered either it is a loss", "[upstream]") {
  Script script(Rung::Resp3);
  script.register_all();
  script.session.canary_sent(Rung::Resp3, "v1", script.now);
  script.session.canary_answered("v1", "+OK\r\n", script.now);
  script.pass(1s);
  script.pass(1s);
  REQUIRE(script.session.verdict() == Verdict::Fail);
}

TEST_CASE("tracking_session: a write of the canary that is not answered is a loss", "[upstream]") {
  Script script(Rung::Resp3);
  script.register_all();
  script.session.canary_sent(Rung::Resp3, "v1", script.now);
  script.pass(1s);
  REQUIRE(script.session.verdict() == Verdict::Fail);
  REQUIRE(script.session.reason() == "no answer to the canary within 1s");
}

TEST_CASE("tracking_session: the server's word on the canary", "[upstream]") {
  const auto session_after = [](bool primary, const std::string& reply) {
    auto script = std::make_unique<Script>(Rung::Resp3, primary);
    script->register_all();
    script->session.canary_sent(Rung::Resp3, "v1", script->now);
    script->session.canary_answered("v1", reply, script->now);
    return script;
  };
  const auto refused = session_after(true, "-NOPERM no access\r\n");
  REQUIRE(refused->session.verdict() == Verdict::Fall);
  REQUIRE(refused->session.reason() ==
          "SET of the canary is refused: NOPERM no access; grant +set +get ~pannier:*");
  REQUIRE(session_after(true, "-OOM no memory\r\n")->session.verdict() == Verdict::Fail);
  REQUIRE(session_after(true, "-READONLY no\r\n")->session.verdict() == Verdict::Fail);

  // On a replica it says that no canary will come.
  const auto replica = session_after(false, "-NOPERM no access\r\n");
  REQUIRE(replica->session.verdict() == Verdict::Going);
  replica->pass(1s);
  REQUIRE(replica->requests() == Lines{"hearer PING"});
  replica->reply(kHearer, TrackingAsk::Ping, "+PONG\r\n");
  REQUIRE(replica->session.verdict() == Verdict::Fall);
  REQUIRE(replica->session.reason() == "no canary can be written to its primary");
}

TEST_CASE("tracking_session: a replica waits for its primary, and falls for nothing",
          "[upstream]") {
  Script script(Rung::Resp3, false);
  script.register_all();
  REQUIRE(script.session.take_wish());
  script.session.canary_source(Source::Away);
  int wishes = 0;
  for (int i = 0; i < 100; ++i) {
    script.pass(100ms);
    wishes += script.session.take_wish() ? 1 : 0;
    for (const std::string& request : script.requests()) {
      REQUIRE(request == "hearer PING");
      script.reply(kHearer, TrackingAsk::Ping, "+PONG\r\n");
    }
    REQUIRE(script.session.verdict() == Verdict::Going);
  }
  REQUIRE(wishes == 100);
  script.session.canary_sent(Rung::Resp3, "v1", script.now);
  script.session.canary_heard("", script.now);
  REQUIRE(script.session.verdict() == Verdict::Coherent);
}

TEST_CASE("tracking_session: a replica that is behind keeps its rung", "[upstream]") {
  Script script(Rung::Redirect, false);
  script.register_all();
  REQUIRE(script.session.take_wish());
  script.session.canary_sent(Rung::Redirect, "v1", script.now);
  script.session.canary_answered("v1", "+OK\r\n", script.now);
  script.pass(1s);
  REQUIRE(script.requests() == Lines{"companion GET pannier:canary"});
  script.reply(kCompanion, TrackingAsk::GetCanary, "$2\r\nv0\r\n");
  REQUIRE(script.session.verdict() == Verdict::Going);
  REQUIRE(script.session.take_wish());

  script.session.canary_sent(Rung::Redirect, "v2", script.now);
  script.session.canary_answered("v2", "+OK\r\n", script.now);
  script.pass(1s);
  REQUIRE(script.requests() == Lines{"companion GET pannier:canary"});
  script.reply(kCompanion, TrackingAsk::GetCanary, "$2\r\nv2\r\n");  // it is there, not told
  REQUIRE(script.requests() == Lines{"hearer PING"});
  script.reply(kHearer, TrackingAsk::Ping, "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
  REQUIRE(script.session.verdict() == Verdict::Fall);
}

TEST_CASE("tracking_session: an answer to an earlier canary proves nothing of a later one",
          "[upstream]") {
  Script script(Rung::Resp3);
  script.session.canary_sent(Rung::Resp3, "v0", script.now);
  script.register_all();
  script.session.canary_answered("v0", "+OK\r\n", script.now);
  script.session.canary_sent(Rung::Resp3, "v1", script.now);
  script.pass(1s);
  REQUIRE(script.session.verdict() == Verdict::Fail);  // as if v1 was never answered
}

TEST_CASE("tracking_session: three seconds without a canary are a loss", "[upstream]") {
  Script script(Rung::Resp3);
  script.prove();
  REQUIRE(script.session.due().value() <= script.now + 1500ms);
  script.pass(2999ms);
  REQUIRE(script.session.verdict() == Verdict::Coherent);
  script.session.canary_heard("", script.now);
  script.pass(2999ms);
  REQUIRE(script.session.verdict() == Verdict::Coherent);
  REQUIRE(script.session.due() == script.now + 1ms);
  script.pass(1ms);
  REQUIRE(script.session.verdict() == Verdict::Fail);
  REQUIRE(script.session.reason() == "no canary for 3s");
}

TEST_CASE("tracking_session: a refused canary is no loss while others' are heard", "[upstream]") {
  Script script(Rung::Resp3);
  script.prove();
  script.session.canary_sent(Rung::Resp3, "v2", script.now);
  script.session.canary_answered("v2", "-NOPERM no access\r\n", script.now);
  REQUIRE(script.session.verdict() == Verdict::Coherent);
  script.session.canary_answered("v2", "-READONLY no\r\n", script.now);
  REQUIRE(script.session.verdict() == Verdict::Fail);
}

TEST_CASE("tracking_session: the lag is told of this sidecar's own canary only", "[upstream]") {
  Script script(Rung::Resp3);
  script.prove();
  REQUIRE(script.requests() == Lines{"hearer GET pannier:canary"});
  script.reply(kHearer, TrackingAsk::GetCanary, "$2\r\nv1\r\n");
  REQUIRE(script.session.take_proof());

  script.session.canary_heard("", script.now);  // somebody else's
  REQUIRE(script.requests().empty());
  REQUIRE(script.session.take_proof().value().lag == 0s);

  script.session.canary_sent(Rung::Resp3, "v2", script.now);
  script.pass(30ms);
  const auto heard_at = script.now;
  script.session.canary_heard("", script.now);
  REQUIRE_FALSE(script.session.take_proof());
  REQUIRE(script.requests() == Lines{"hearer GET pannier:canary"});
  script.pass(5ms);
  script.reply(kHearer, TrackingAsk::GetCanary, "$2\r\nv2\r\n");
  const auto proof = script.session.take_proof().value();
  REQUIRE(proof.lag == 30ms);
  REQUIRE(proof.at == heard_at);

  script.session.canary_sent(Rung::Resp3, "v3", script.now);
  script.session.canary_heard("", script.now);
  script.reply(kHearer, TrackingAsk::GetCanary, "$6\r\nothers\r\n");
  REQUIRE(script.session.take_proof().value().lag == 0s);
}

TEST_CASE("tracking_session: a published canary brings its value with it", "[upstream]") {
  Script script(Rung::Channel);
  script.prove();
  REQUIRE(script.requests().empty());
  static_cast<void>(script.session.take_proof());
  script.session.canary_sent(Rung::Channel, "v2", script.now);
  script.session.canary_sent(Rung::Resp3, "other", script.now);  // not for this one
  script.pass(20ms);
  script.session.canary_heard("others", script.now);
  REQUIRE(script.session.take_proof().value().lag == 0s);
  script.session.canary_heard("v2", script.now);
  REQUIRE(script.session.take_proof().value().lag == 20ms);
}

TEST_CASE("tracking_session: an idle companion is kept alive, and a dead one found", "[upstream]") {
  Script script(Rung::Redirect);
  script.prove();
  static_cast<void>(script.requests());
  for (int i = 0; i < 9; ++i) {
    script.pass(1s);
    script.session.canary_heard("", script.now);
    static_cast<void>(script.requests());
  }
  script.pass(1s);
  REQUIRE(script.requests() == Lines{"companion PING"});
  script.session.canary_heard("", script.now);
  script.reply(kCompanion, TrackingAsk::Ping, "+PONG\r\n");
  for (int i = 0; i < 20 && !script.session.is_over(); ++i) {
    script.pass(1s);
    script.session.canary_heard("", script.now);
  }
  REQUIRE(script.session.verdict() == Verdict::Fail);
  REQUIRE(script.session.reason() == "no answer to PING for 10s");
}

TEST_CASE("tracking_session: a fleet shares one writer of the canary", "[upstream]") {
  constexpr int kSidecars = 20;
  std::vector<std::unique_ptr<TrackingSession>> fleet;
  base::TimePoint now = base::TimePoint{} + 1000s;
  for (int i = 0; i < kSidecars; ++i) {
    fleet.push_back(std::make_unique<TrackingSession>(
        TrackingSession::Goal{Rung::Channel, false, "", {}}, 100 + i));
    fleet.back()->opened(kHearer, 1, now);
    fleet.back()->reply(kHearer, TrackingAsk::Info, "-NOPERM\r\n", now);
    fleet.back()->reply(kHearer, TrackingAsk::Subscribe, "+OK\r\n", now);
    static_cast<void>(fleet.back()->take_wish());
    fleet.back()->canary_heard("first", now);
    REQUIRE(fleet.back()->verdict() == Verdict::Coherent);
  }
  int written = 0;
  for (int ms = 0; ms < 60'000; ++ms) {
    now += 1ms;
    int wishes = 0;
    for (const auto& session : fleet) {
      session->time(now);
      wishes += session->take_wish() ? 1 : 0;
    }
    written += wishes;
    for (int i = 0; i < wishes; ++i) {
      for (const auto& session : fleet) {
        session->canary_heard("one", now);
      }
    }
  }
  // Twenty that did not listen to each other would write 1200; the first of twenty is soon.
  REQUIRE(written >= 60);
  REQUIRE(written <= 130);
  for (const auto& session : fleet) {
    REQUIRE(session->verdict() == Verdict::Coherent);
  }
}
