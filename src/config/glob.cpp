#include "pannier/config/glob.hpp"

#include "pannier/base/bytes.hpp"

#include <algorithm>
#include <utility>

namespace pannier::config {
namespace {

using Bytes = std::bitset<256>;

std::size_t index_of(char c) {
  return static_cast<unsigned char>(c);
}

bool is_word(std::string_view text) {
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !text.empty() && is_letter(text.front()) &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return is_letter(c) || (c >= '0' && c <= '9') || c == '-';
         });
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Glob run() {
    if (text_.empty()) {
      fail("is empty");
    } else if (text_.size() > kMaxGlob) {
      fail("is longer than " + std::to_string(kMaxGlob) + " bytes");
    }
    while (glob_.fault.empty() && at_ < text_.size()) {
      step();
    }
    end_captures();
    return std::move(glob_);
  }

 private:
  void step() {
    const char c = text_[at_];
    ++at_;
    switch (c) {
      case '*':
        add_star();
        return;
      case '?':
        add(GlobToken::Kind::Any, Bytes().set());
        return;
      case '[':
        read_set();
        return;
      case '{':
        read_capture();
        return;
      case '}':
        fail("has '}' without '{'; write \\} for a brace");
        return;
      case '\\':
        if (at_ == text_.size()) {
          fail("ends with a lone '\\'; write \\\\ for a backslash");
          return;
        }
        add_literal(text_[at_]);
        ++at_;
        return;
      default:
        add_literal(c);
    }
  }

  void add(GlobToken::Kind kind, const Bytes& bytes, char literal = 0) {
    glob_.tokens.push_back(GlobToken{kind, bytes, literal, false});
  }

  void add_literal(char c) { add(GlobToken::Kind::Literal, Bytes().set(index_of(c)), c); }

  void add_star() {
    if (!glob_.tokens.empty() && glob_.tokens.back().kind == GlobToken::Kind::Star) {
      return;
    }
    add(GlobToken::Kind::Star, Bytes().set());
    if (++stars_ > kMaxGlobStars) {
      fail("has more than " + std::to_string(kMaxGlobStars) + " stars");
    }
  }

  // Redis's own reading, with its corners: ']' always ends a set, "a-]" is a range.
  void read_set() {
    const bool negated = at_ < text_.size() && text_[at_] == '^';
    at_ += negated ? 1 : 0;
    Bytes bytes;
    for (; at_ < text_.size() && text_[at_] != ']'; ++at_) {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) {
        ++at_;
        bytes.set(index_of(text_[at_]));
      } else if (at_ + 2 < text_.size() && text_[at_ + 1] == '-') {
        const auto from = index_of(text_[at_]);
        const auto to = index_of(text_[at_ + 2]);
        for (auto b = std::min(from, to); b <= std::max(from, to); ++b) {
          bytes.set(b);
        }
        at_ += 2;
      } else {
        bytes.set(index_of(text_[at_]));
      }
    }
    if (at_ >= text_.size()) {
      fail("'[' is not closed; write \\[ for a bracket");
      return;
    }
    ++at_;
    if (bytes.none() || (negated && bytes.all())) {
      fail("has a set [] without a character");
      return;
    }
    add(GlobToken::Kind::Set, negated ? ~bytes : bytes);
  }

  void read_capture() {
    const auto end = text_.find('}', at_);
    if (end == std::string_view::npos) {
      fail("'{' is not closed; write \\{ for a brace");
      return;
    }
    const auto name = text_.substr(at_, end - at_);
    if (!is_word(name)) {
      fail("{" + base::printable(name) +
           "} is not a capture, which is a name; write \\{ for a brace");
      return;
    }
    auto& names = glob_.captures;
    if (std::find(names.begin(), names.end(), name) != names.end()) {
      fail("has the capture {" + std::string(name) + "} twice");
      return;
    }
    names.emplace_back(name);
    at_ = end + 1;
    add(GlobToken::Kind::Capture, Bytes().set());
  }

  // A capture's end is what follows it, so only a literal or the end of the glob may follow.
  void end_captures() {
    auto& tokens = glob_.tokens;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i].kind != GlobToken::Kind::Capture) {
        continue;
      }
      tokens[i].to_end = i + 1 == tokens.size();
      if (tokens[i].to_end) {
        continue;
      }
      if (tokens[i + 1].kind != GlobToken::Kind::Literal) {
        fail("has a capture that is not followed by a plain character; its end would be unclear");
        return;
      }
      tokens[i].literal = tokens[i + 1].literal;
      tokens[i].bytes.reset(index_of(tokens[i].literal));
    }
  }

  void fail(std::string fault) {
    if (glob_.fault.empty()) {
      glob_.fault = std::move(fault);
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t stars_ = 0;
  Glob glob_;
};

// A glob as a line of states: each takes one byte of its set and goes on, or stays as long as the
// bytes are of its set and may be left at any time.
struct State {
  Bytes bytes;
  bool loop = false;
};

std::vector<State> states_of(const Glob& glob) {
  std::vector<State> out;
  for (const auto& token : glob.tokens) {
    if (token.kind != GlobToken::Kind::Star) {
      out.push_back(State{token.bytes, false});
    }
    if (token.kind == GlobToken::Kind::Star || token.kind == GlobToken::Kind::Capture) {
      out.push_back(State{token.bytes, true});
    }
  }
  return out;
}

// Of the bytes that would do, the one that reads best in a message.
int example_byte(const Bytes& bytes) {
  constexpr std::string_view kLiked =
      "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ:-_.";
  for (const char c : kLiked) {
    if (bytes.test(index_of(c))) {
      return static_cast<int>(index_of(c));
    }
  }
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes.test((i + '!') % bytes.size())) {
      return static_cast<int>((i + '!') % bytes.size());
    }
  }
  return -1;
}

// Walks two globs side by side, breadth first, until both are at their end.
class Meeting {
 public:
  Meeting(std::vector<State> a, std::vector<State> b)
      : a_(std::move(a)),
        b_(std::move(b)),
        steps_((a_.size() + 1) * (b_.size() + 1)) {}

  std::optional<std::string> run() {
    reach(0, 0, 0, kNoByte);
    while (!now_.empty()) {
      // Steps without a byte belong to the same length of the key, so `now_` may grow.
      for (std::size_t n = 0; n < now_.size(); ++n) {
        const auto [i, j] = now_[n];
        if (i == a_.size() && j == b_.size()) {
          return key_to(place(i, j));
        }
        leave_loops(i, j);
      }
      for (const auto& [i, j] : std::exchange(now_, {})) {
        take_byte(i, j);
      }
    }
    return std::nullopt;
  }

  // Making room is cheap, but not free.
  [[nodiscard]] std::size_t work() const { return reached_ + steps_.size() / 64; }

 private:
  static constexpr int kNoByte = -1;

  struct Step {
    bool reached = false;
    std::size_t from = 0;
    int byte = kNoByte;
  };

  [[nodiscard]] std::size_t place(std::size_t i, std::size_t j) const {
    return i * (b_.size() + 1) + j;
  }

  void reach(std::size_t i, std::size_t j, std::size_t from, int byte) {
    auto& step = steps_[place(i, j)];
    if (!step.reached) {
      step = Step{true, from, byte};
      ++reached_;
      now_.emplace_back(i, j);
    }
  }

  void leave_loops(std::size_t i, std::size_t j) {
    if (i < a_.size() && a_[i].loop) {
      reach(i + 1, j, place(i, j), kNoByte);
    }
    if (j < b_.size() && b_[j].loop) {
      reach(i, j + 1, place(i, j), kNoByte);
    }
  }

  void take_byte(std::size_t i, std::size_t j) {
    if (i == a_.size() || j == b_.size() || (a_[i].loop && b_[j].loop)) {
      return;  // in two loops a byte leads nowhere
    }
    const int byte = example_byte(a_[i].bytes & b_[j].bytes);
    if (byte != kNoByte) {
      reach(i + (a_[i].loop ? 0 : 1), j + (b_[j].loop ? 0 : 1), place(i, j), byte);
    }
  }

  [[nodiscard]] std::string key_to(std::size_t at) const {
    std::string key;
    while (at != 0) {
      if (steps_[at].byte != kNoByte) {
        key += static_cast<char>(steps_[at].byte);
      }
      at = steps_[at].from;
    }
    std::reverse(key.begin(), key.end());
    return key;
  }

  std::vector<State> a_;
  std::vector<State> b_;
  std::vector<Step> steps_;
  std::vector<std::pair<std::size_t, std::size_t>> now_;
  std::size_t reached_ = 0;
};

}  // namespace

Glob parse_glob(std::string_view text) {
  return Parser(text).run();
}

std::string glob_fault(std::string_view glob) {
  return parse_glob(glob).fault;
}

std::string literal_prefix(std::string_view glob) {
  return literal_prefix(parse_glob(glob));
}

std::string literal_prefix(const Glob& glob) {
  std::string out;
  for (const auto& token : glob.tokens) {
    if (token.kind != GlobToken::Kind::Literal) {
      break;
    }
    out += token.literal;
  }
  return out;
}

std::size_t literal_count(std::string_view glob) {
  return literal_count(parse_glob(glob));
}

std::size_t literal_count(const Glob& glob) {
  const auto& tokens = glob.tokens;
  return static_cast<std::size_t>(std::count_if(tokens.begin(), tokens.end(), [](const auto& t) {
    return t.kind == GlobToken::Kind::Literal;
  }));
}

bool glob_matches(std::string_view glob, std::string_view key) {
  const auto states = states_of(parse_glob(glob));
  // Which states the bytes so far may have led to; the last one is the end of the glob.
  std::vector<bool> now(states.size() + 1);
  now[0] = true;
  const auto leave_loops = [&](std::vector<bool>& set) {
    for (std::size_t i = 0; i < states.size(); ++i) {
      if (set[i] && states[i].loop) {
        set[i + 1] = true;
      }
    }
  };
  leave_loops(now);
  for (const char c : key) {
    std::vector<bool> next(states.size() + 1);
    for (std::size_t i = 0; i < states.size(); ++i) {
      if (now[i] && states[i].bytes.test(index_of(c))) {
        next[states[i].loop ? i : i + 1] = true;
      }
    }
    leave_loops(next);
    now = std::move(next);
  }
  return now.back();
}

std::optional<std::string> common_key(std::string_view a, std::string_view b) {
  std::size_t work = 0;
  return common_key(parse_glob(a), parse_glob(b), work);
}

std::optional<std::string> common_key(const Glob& a, const Glob& b, std::size_t& work) {
  Meeting meeting(states_of(a), states_of(b));
  auto key = meeting.run();
  work += meeting.work();
  return key;
}

bool covers(const Glob& a, const Glob& b) {
  using Kind = GlobToken::Kind;
  const auto is_run = [](const GlobToken& token) {
    return token.kind == Kind::Star || token.kind == Kind::Capture;
  };
  const auto n = a.tokens.size();
  const auto m = b.tokens.size();
  // Whether what follows place i of `a` covers what follows place j of `b`, from the ends on.
  std::vector<std::vector<bool>> rest(n + 1, std::vector<bool>(m + 1));
  rest[n][m] = true;
  for (std::size_t i = n; i-- > 0;) {
    const auto& token = a.tokens[i];
    for (std::size_t j = m + 1; j-- > 0;) {
      if (token.kind == Kind::Star) {
        rest[i][j] = rest[i + 1][j] || (j < m && rest[i][j + 1]);
      } else if (j < m) {
        const auto& other = b.tokens[j];
        const bool fits = (other.bytes & ~token.bytes).none() &&
                          (is_run(other) ? token.kind == other.kind : true);
        rest[i][j] = fits && rest[i + 1][j + 1];
      }
    }
  }
  return rest[0][0];
}

bool equally_specific(std::string_view a, std::string_view b) {
  return literal_prefix(a).size() == literal_prefix(b).size() &&
         literal_count(a) == literal_count(b);
}

}  // namespace pannier::config
