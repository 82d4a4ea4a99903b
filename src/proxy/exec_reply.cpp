#include "exec_reply.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/resp/reply_writer.hpp"

#include <algorithm>

namespace pannier::proxy {
namespace {

using Stage = ExecReply::Stage;

void end_header(ExecReply& reply, std::string& out) {
  const TtlTransaction& transaction = reply.transaction;
  const std::string_view header = reply.kept;
  const auto count = base::parse_int(header.substr(1, header.size() - 3)).value_or(-1);
  if (count < 0) {
    reply.stage = Stage::AsItIs;
    out += header;
  } else if (count != static_cast<std::int64_t>(transaction.queued)) {
    reply.stage = Stage::Drop;
    resp::append_error(out,
                       "UPSTREAM EXEC answered another number of commands than were queued "
                       "(has run)");
  } else {
    reply.stage = Stage::Elements;
    const auto& places = transaction.places;
    const auto added = std::count_if(
        places.begin(), places.end(), [](const TtlPlace& place) { return place.is_added; });
    resp::append_array_header(out, static_cast<std::size_t>(count - added));
  }
  reply.kept.clear();
}

// What it took of `part`.
std::size_t take_header(ExecReply& reply, std::string_view part, std::string& out) {
  if (reply.kept.empty() && part.front() != '*') {
    reply.stage = Stage::AsItIs;
    return 0;
  }
  const std::size_t end = std::min(part.find('\n'), part.size() - 1) + 1;
  reply.kept.append(part.substr(0, end));
  if (reply.kept.back() == '\n') {
    end_header(reply, out);
  }
  return end;
}

std::size_t take_element(ExecReply& reply, std::string_view part, std::string& out) {
  const auto status = reply.scanner.scan(part);
  const std::size_t taken = reply.scanner.consumed();
  const std::string_view bytes = part.substr(0, taken);
  const auto& places = reply.transaction.places;
  const bool is_special = reply.place < places.size() && places[reply.place].index == reply.element;
  if (!is_special) {
    out += bytes;
  } else if (!places[reply.place].is_added) {
    reply.kept += bytes;
  }
  if (status == resp::ReplyScanner::Status::Complete) {
    out += setnx_reply(reply.kept);
    reply.kept.clear();
    reply.place += is_special ? 1 : 0;
    ++reply.element;
  } else if (status == resp::ReplyScanner::Status::Error) {
    reply.stage = Stage::Drop;  // the connection's own scanner ends it as well
  }
  return taken;
}

}  // namespace

std::string_view setnx_reply(std::string_view bytes) {
  if (bytes.starts_with('+')) {
    return ":1\r\n";
  }
  return bytes.starts_with("$-1") || bytes.starts_with('_') ? ":0\r\n" : bytes;
}

void map_exec_part(ExecReply& reply, std::string_view part, std::string& out) {
  while (!part.empty()) {
    switch (reply.stage) {
      case Stage::Header:
        part.remove_prefix(take_header(reply, part, out));
        break;
      case Stage::Elements:
        part.remove_prefix(take_element(reply, part, out));
        break;
      case Stage::AsItIs:
        out += part;
        return;
      case Stage::Drop:
        return;
    }
  }
}

}  // namespace pannier::proxy
