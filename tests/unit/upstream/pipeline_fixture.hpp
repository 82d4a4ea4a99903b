#pragma once

#include "pannier/upstream/pipeline.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::test {

inline std::string bulk(std::string_view text) {
  return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}

// One connection's pipeline without a connection: writes down each call as "reply 3 $ last <bytes",
// "reply 3 $ part <bytes" or "push <bytes", where 3 is the fourth request that was asked.
class Line final : public upstream::ReplySink {
 public:
  Line() = default;
  virtual ~Line() = default;
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  upstream::SlotIndex ask(std::string_view request = "?",
                          upstream::Fate fate = upstream::Fate::Forward) {
    const upstream::SlotIndex index = slots.take();
    slots[index].place = asked++;
    slots[index].fate = fate;
    pipeline.push(index, request);
    return index;
  }

  upstream::SlotIndex subscribe(std::uint32_t names) {
    const upstream::SlotIndex index = ask("subscribe");
    slots[index].is_subscribe = true;
    slots[index].confirmations = names;
    return index;
  }

  bool feed(std::string_view bytes) { return pipeline.feed(bytes, *this); }

  // Writes up to `limit` bytes, as a socket that takes no more; returns what it took.
  std::string write(std::size_t limit) {
    std::array<iovec, 4> parts{};
    std::string out;
    while (out.size() < limit && pipeline.unsent() > 0) {
      const std::size_t count = pipeline.gather(parts);
      std::string taken;
      for (std::size_t i = 0; i < count; ++i) {
        taken.append(static_cast<const char*>(parts.at(i).iov_base), parts.at(i).iov_len);
      }
      taken.resize(std::min(taken.size(), limit - out.size()));
      pipeline.sent(taken.size());
      out += taken;
    }
    return out;
  }

  std::string kept(upstream::SlotIndex index) const {
    std::string out;
    pipeline.copy_request(const_cast<upstream::SlotSlab&>(slots)[index], out);
    return out;
  }

  void on_reply(upstream::SlotIndex index, std::string_view bytes, char type, bool last) override {
    const upstream::Slot& slot = slots[index];
    started.push_back(slot.started);
    calls.push_back("reply " + std::to_string(slot.place) + " " + type +
                    (last ? " last <" : " part <") + std::string(bytes));
  }

  void on_push(std::string_view bytes) override { calls.push_back("push <" + std::string(bytes)); }

  upstream::SlotSlab slots;
  base::BlockPool blocks;
  upstream::Pipeline pipeline{slots, blocks};
  std::uint32_t asked = 0;
  std::vector<std::string> calls;
  std::vector<bool> started;  // Slot::started as each on_reply saw it
};

// True when `stream`, cut in two at every byte and fed byte by byte, makes the same calls as in one
// piece. `prepare(line)` asks what is answered.
template <typename Prepare>
bool same_however_cut(const Prepare& prepare, const std::string& stream) {
  const auto calls_of = [&](const std::vector<std::string>& pieces) {
    Line line;
    prepare(line);
    for (const std::string& piece : pieces) {
      if (!line.feed(piece)) {
        line.calls.emplace_back("out of step");
      }
    }
    line.calls.push_back("left " + std::to_string(line.pipeline.size()));
    return line.calls;
  };
  const std::vector<std::string> whole = calls_of({stream});
  std::vector<std::string> bytes;
  for (std::size_t i = 0; i < stream.size(); ++i) {
    bytes.push_back(stream.substr(i, 1));
    if (calls_of({stream.substr(0, i), stream.substr(i)}) != whole) {
      return false;
    }
  }
  return calls_of(bytes) == whole;
}

}  // namespace pannier::test
