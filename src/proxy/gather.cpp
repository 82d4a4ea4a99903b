#include "gather.hpp"

#include "pannier/proxy/cache_actions.hpp"
#include "pannier/resp/reply_writer.hpp"
#include "pannier/resp/request_parser.hpp"

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace pannier::proxy {
namespace {

// What a worker contributes, and what becomes of all contributions. shared_ptr: it lives until the
// last worker has answered, on whichever thread.
template <typename Part>
struct Question {
  std::function<Part(Context&)> ask;
  std::function<std::string(std::vector<Part>&&, resp::Version)> conclude;
  std::vector<Part> parts;
  std::uint32_t asker = 0;
  upstream::SessionRef session;
  std::uint32_t place = 0;
  bool silent = false;  // CLIENT REPLY OFF or SKIP
};

template <typename Part>
void ask_worker(Context& context, std::shared_ptr<Question<Part>> question, std::uint32_t worker) {
  context.shared.post(worker, [question, worker](Context& other) {
    question->parts.push_back(question->ask(other));
    if (worker + 1 < other.shared.config.workers) {
      ask_worker(other, question, worker + 1);
      return;
    }
    other.shared.post(question->asker, [question](Context& home) {
      if (Session* session = home.sessions.find(question->session)) {
        const auto reply = question->conclude(std::move(question->parts), session->state.version);
        session->reply(question->place, question->silent ? std::string_view{} : reply);
        session->wake(Waiting::Gather);
      }
    });
  });
}

// Workers are asked one after the other, so that the parts need no lock. The reply has its place,
// and parsing waits: what the client sends next must find the result done (CLIENT KILL).
template <typename Part>
Step gather(Context& context,
            Session& session,
            std::function<Part(Context&)> ask,
            std::function<std::string(std::vector<Part>&&, resp::Version)> conclude) {
  auto question = std::make_shared<Question<Part>>();
  question->ask = std::move(ask);
  question->conclude = std::move(conclude);
  question->asker = context.worker;
  question->session = session.ref();
  question->place = session.open_place();
  question->silent = session.state.reply_mode != ReplyMode::On;
  session.wait_for(Waiting::Gather);
  ask_worker(context, question, 0);
  return Step::Done;
}

// What CLIENT LIST shows beside what the client set.
void refresh_state(Session& session) {
  session.state.output_bytes = session.output_bytes();
  session.state.input_bytes = session.input_bytes();
  session.state.tracking = session.pinned.tracking;
  if (session.last_row != nullptr) {
    session.state.last_command = session.last_row->name;
  }
}

std::int64_t sum(const std::vector<std::int64_t>& parts) {
  std::int64_t total = 0;
  for (const std::int64_t part : parts) {
    total += part;
  }
  return total;
}

std::string integer_reply(std::int64_t value) {
  std::string out;
  resp::append_integer(out, value);
  return out;
}

// One map per key: its name, requests per second, their count since it became hot (too high by at
// most `error`), and bytes of replies from memory.
void append_hot_keys(std::string& out,
                     const std::vector<cache::HotKeys::Entry>& entries,
                     resp::Version version) {
  constexpr std::size_t kFields = 5;
  resp::append_array_header(out, entries.size());
  for (const cache::HotKeys::Entry& entry : entries) {
    resp::append_map_header(out, kFields, version);
    resp::append_bulk(out, "key");
    resp::append_bulk(out, entry.key);
    resp::append_bulk(out, "per_second");
    resp::append_double(out, entry.per_second, version);
    resp::append_bulk(out, "count");
    resp::append_integer(out, static_cast<std::int64_t>(entry.count));
    resp::append_bulk(out, "error");
    resp::append_integer(out, static_cast<std::int64_t>(entry.error));
    resp::append_bulk(out, "bytes");
    resp::append_integer(out, static_cast<std::int64_t>(entry.bytes));
  }
}

}  // namespace

Step gather_client_list(Context& context, Session& session, const ClientFilter& filter) {
  session.last_row = command::find(std::string_view("client|list"));
  return gather<std::string>(
      context,
      session,
      [filter](Context& other) {
        std::string lines;
        other.sessions.for_each([&](Session& candidate) {
          refresh_state(candidate);
          if (filter.matches(candidate.state)) {
            append_client_line(lines, candidate.state, other.runtime.now);
          }
        });
        return lines;
      },
      [](std::vector<std::string>&& parts, resp::Version version) {
        std::string all;
        for (const std::string& part : parts) {
          all += part;
        }
        std::string out;
        resp::append_verbatim(out, all, version);
        return out;
      });
}

Step gather_client_kill(Context& context, Session& session, const ClientFilter& filter) {
  const bool old_form = filter.old_form;
  return gather<std::int64_t>(
      context,
      session,
      [filter](Context& other) {
        std::vector<Session*> victims;
        other.sessions.for_each([&](Session& candidate) {
          if (filter.matches(candidate.state)) {
            victims.push_back(&candidate);
          }
        });
        for (Session* victim : victims) {
          if (victim->state.id == filter.self) {
            victim->close_after_replies(metrics::CloseReason::Killed);
          } else {
            victim->close(metrics::CloseReason::Killed);
          }
        }
        return static_cast<std::int64_t>(victims.size());
      },
      [old_form](std::vector<std::int64_t>&& parts, resp::Version) {
        const std::int64_t killed = sum(parts);
        if (!old_form) {
          return integer_reply(killed);
        }
        return std::string(killed > 0 ? "+OK\r\n" : "-ERR No such client\r\n");
      });
}

Step gather_client_unblock(Context& context, Session& session, std::uint64_t id, bool with_error) {
  return gather<std::int64_t>(
      context,
      session,
      [id, with_error](Context& other) {
        std::int64_t unblocked = 0;
        other.sessions.for_each([&](Session& candidate) {
          if (candidate.state.id == id && unblock(other, candidate, with_error)) {
            ++unblocked;
          }
        });
        return unblocked;
      },
      [](std::vector<std::int64_t>&& parts, resp::Version) { return integer_reply(sum(parts)); });
}

Step gather_slowlog(Context& context, Session& session, std::string_view what, std::int64_t count) {
  const bool reset = what == "reset";
  return gather<std::vector<SlowEntry>>(
      context,
      session,
      [reset](Context& other) {
        std::vector<SlowEntry> entries = other.slowlog.entries();
        if (reset) {
          other.slowlog.reset();
        }
        return entries;
      },
      [name = std::string(what), count](std::vector<std::vector<SlowEntry>>&& parts,
                                        resp::Version) {
        if (name == "reset") {
          return std::string("+OK\r\n");
        }
        const std::vector<SlowEntry> all = merge_slow_entries(std::move(parts));
        std::string out;
        if (name == "len") {
          resp::append_integer(out, static_cast<std::int64_t>(all.size()));
        } else {
          append_slowlog(out, all, count);
        }
        return out;
      });
}

Step gather_hot_keys(Context& context, Session& session, std::size_t count) {
  return gather<std::vector<cache::HotKeys::Entry>>(
      context,
      session,
      [count](Context& other) { return other.hot_keys.top(count, other.runtime.now); },
      [count](std::vector<std::vector<cache::HotKeys::Entry>>&& parts, resp::Version version) {
        std::string out;
        append_hot_keys(out, merge_hot_keys(std::move(parts), count), version);
        return out;
      });
}

bool unblock(Context& context, Session& session, bool with_error) {
  const upstream::Connection* blocked = session.pinned.connection;
  if (blocked == nullptr || session.pinned.blocking == 0) {
    return false;
  }
  upstream::Connection* lane =
      context.lanes.pick({blocked->node(), 0, resp::Version::Resp2}, session.ref().index, false);
  if (lane == nullptr) {
    return false;
  }
  const std::string id = std::to_string(blocked->upstream_id());
  std::vector<std::string_view> arguments{"CLIENT", "UNBLOCK", id};
  if (with_error) {
    arguments.emplace_back("ERROR");
  }
  std::string request;
  resp::append_request(request, arguments);
  send_unseen(context, *lane, request);
  return true;
}

void wake_paused(Context& context) {
  context.sessions.for_each([](Session& session) { session.wake(Waiting::Paused); });
}

}  // namespace pannier::proxy
