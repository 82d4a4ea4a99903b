#include "key_globs.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <tuple>
#include <utility>

namespace pannier::policy {

using Kind = config::GlobToken::Kind;

// One glob against what follows its prefix in one key.
//
// After a mismatch only the last star is tried further on, for what stands before it is found at
// its earliest end, and from there the star reaches everything that it could reach later. A
// capture's end is kept while it is still ahead, so that no byte is searched twice. So the cost is
// bounded by the key's length times the glob's.
class KeyGlobs::Match {
 public:
  // Of the ends only those that are used are cleared, here.
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init)
  Match(const KeyGlobs& globs, std::span<const Step> steps, std::string_view key, std::size_t at)
      : globs_(&globs),
        steps_(steps),
        key_(key),
        at_(at) {
    std::fill_n(ends_.begin(), std::min(steps.size(), ends_.size()), 0);
  }

  bool run(std::uint16_t capture, std::string_view& text) {
    while (true) {
      const bool all_taken = step_ == steps_.size();
      if (all_taken && at_ == key_.size()) {
        return true;
      }
      if (!all_taken && take(steps_[step_], capture, text)) {
        ++step_;
      } else if (!try_further()) {
        return false;
      }
    }
  }

 private:
  // A glob has at most 256 bytes, a capture and what ends it at least 4.
  static constexpr std::size_t kMaxCaptures = config::kMaxGlob / 4 + 1;
  static constexpr std::size_t kNoStar = ~std::size_t{0};

  bool take(const Step& step, std::uint16_t capture, std::string_view& text) {
    if (step.kind == Kind::Star) {
      return take_star(step);
    }
    if (at_ == key_.size()) {
      return false;
    }
    switch (step.kind) {
      case Kind::Literal:
        return key_[at_] == step.byte && next(1);
      case Kind::Any:
        return next(1);
      case Kind::Set:
        return globs_->sets_[step.set].test(static_cast<std::uint8_t>(key_[at_])) && next(1);
      case Kind::Capture: {
        const auto size = captured(step);
        if (size > 0 && step.set == capture) {
          text = key_.substr(at_, size);
        }
        return size > 0 && next(size);
      }
      case Kind::Star:
        break;
    }
    return false;
  }

  bool next(std::size_t bytes) {
    at_ += bytes;
    return true;
  }

  // Bytes of a capture that begins here; 0: it cannot.
  std::size_t captured(const Step& step) {
    if (step.to_end) {
      return key_.size() - at_;
    }
    if (key_[at_] == step.byte) {
      return 0;
    }
    auto& end = ends_[step.set];
    if (end <= at_) {
      end = key_.find(step.byte, at_ + 1);
      hopeless_ |= end == std::string_view::npos;
    }
    return hopeless_ ? 0 : end - at_;
  }

  bool take_star(const Step& step) {
    if (step.tail != kNone) {
      hopeless_ = key_.size() - at_ < step.tail;
      at_ = hopeless_ ? at_ : key_.size() - step.tail;
      star_ = kNoStar;
      return !hopeless_;
    }
    star_ = step_;
    star_at_ = at_;
    return true;
  }

  // Lets the last star take at least one byte more.
  bool try_further() {
    if (hopeless_ || star_ == kNoStar || star_at_ >= key_.size()) {
      return false;
    }
    ++star_at_;
    const Step& behind = steps_[star_ + 1];
    if (behind.kind == Kind::Literal) {
      star_at_ = key_.find(behind.byte, star_at_);
      if (star_at_ == std::string_view::npos) {
        return false;
      }
    }
    at_ = star_at_;
    step_ = star_ + 1;
    return true;
  }

  const KeyGlobs* globs_;
  std::span<const Step> steps_;
  std::string_view key_;
  std::size_t at_;
  std::size_t step_ = 0;
  std::size_t star_ = kNoStar;                  // the last one that was met
  std::size_t star_at_ = 0;                     // where what follows it was tried
  bool hopeless_ = false;                       // no star can help
  std::array<std::size_t, kMaxCaptures> ends_;  // where captures end, by number; 0: not looked for
};

bool KeyGlobs::matches(const Entry& entry,
                       std::string_view key,
                       std::size_t at,
                       std::string_view& text) const {
  const std::span<const Step> steps(steps_.data() + entry.steps, entry.step_count);
  return Match(*this, steps, key, at).run(entry.capture, text);
}

bool KeyGlobs::matches_simply(const Entry& entry,
                              std::string_view key,
                              std::size_t at,
                              std::string_view& text) const {
  if (entry.captures) {
    if (at == key.size() || (!entry.first.to_end && key[at] == entry.first.byte)) {
      return false;
    }
    const auto end = entry.first.to_end ? key.size() : key.find(entry.first.byte, at + 1);
    if (end == std::string_view::npos) {
      return false;
    }
    if (entry.capture == 0) {
      text = key.substr(at, end - at);
    }
    at = end;
  }
  const auto size = key.size() - at;
  return (entry.open_end ? size >= entry.text_size : size == entry.text_size) &&
         same_bytes(key.data() + at, texts_.data() + entry.text, entry.text_size);
}

void KeyGlobs::add(std::string_view glob, std::uint16_t rule, std::string_view capture) {
  Draft draft;
  draft.glob = config::parse_glob(glob);
  draft.prefix = config::literal_prefix(draft.glob);
  draft.rule = rule;
  const auto& names = draft.glob.captures;
  const auto found = std::find(names.begin(), names.end(), capture);
  if (found != names.end()) {
    draft.capture = static_cast<std::uint16_t>(found - names.begin());
  }
  drafts_.push_back(std::move(draft));
}

void KeyGlobs::compile() {
  // Of equally specific ones the first of the file is to come last.
  std::reverse(drafts_.begin(), drafts_.end());
  std::stable_sort(drafts_.begin(), drafts_.end(), [](const Draft& a, const Draft& b) {
    return std::make_tuple(std::string_view(a.prefix), config::literal_count(a.glob)) <
           std::make_tuple(std::string_view(b.prefix), config::literal_count(b.glob));
  });
  std::vector<ClassGlob> prefixes;
  for (const auto& draft : drafts_) {
    if (&draft == drafts_.data() || draft.prefix != (&draft - 1)->prefix) {
      const auto& tokens = draft.glob.tokens;
      const auto end = tokens.begin() + static_cast<std::ptrdiff_t>(draft.prefix.size());
      prefixes.push_back(ClassGlob{{tokens.begin(), end}, static_cast<ClassId>(groups_.size())});
      groups_.push_back(Group{static_cast<std::uint32_t>(entries_.size()),
                              0,
                              static_cast<std::uint16_t>(draft.prefix.size())});
    }
    ++groups_.back().count;
    first_bytes_ |= draft.glob.tokens.front().kind == Kind::Star ? ~std::bitset<256>()
                                                                 : draft.glob.tokens.front().bytes;
    add_entry(draft);
  }
  if (!prefixes.empty()) {
    tree_ = build_tree(std::move(prefixes));
  }
  drafts_.clear();
}

void KeyGlobs::add_entry(const Draft& draft) {
  Entry entry;
  entry.rule = draft.rule;
  entry.capture = draft.capture;
  entry.steps = static_cast<std::uint32_t>(steps_.size());
  add_steps(draft);
  entry.step_count = static_cast<std::uint16_t>(steps_.size() - entry.steps);
  entry.takes_all = entry.step_count == 1 && steps_.back().kind == Kind::Star;
  entry.simple = make_simple(entry);
  entries_.push_back(entry);
}

bool KeyGlobs::make_simple(Entry& entry) {
  std::span<const Step> steps(steps_.data() + entry.steps, entry.step_count);
  entry.captures = !steps.empty() && steps.front().kind == Kind::Capture;
  if (entry.captures) {
    entry.first = steps.front();
    steps = steps.subspan(1);
  }
  entry.open_end = !steps.empty() && steps.back().kind == Kind::Star;
  if (entry.open_end) {
    steps = steps.first(steps.size() - 1);
  }
  entry.text = static_cast<std::uint32_t>(texts_.size());
  entry.text_size = static_cast<std::uint16_t>(steps.size());
  for (const auto& step : steps) {
    if (step.kind != Kind::Literal) {
      return false;
    }
    texts_ += step.byte;
  }
  return true;
}

void KeyGlobs::add_steps(const Draft& draft) {
  const auto& tokens = draft.glob.tokens;
  std::uint16_t captures = 0;
  for (auto i = draft.prefix.size(); i < tokens.size(); ++i) {
    const auto& token = tokens[i];
    Step step{token.kind, token.to_end, token.literal};
    if (token.kind == Kind::Capture) {
      step.set = captures;
      ++captures;
    } else if (token.kind == Kind::Set) {
      step.set = static_cast<std::uint16_t>(sets_.size());
      sets_.push_back(token.bytes);
    } else if (token.kind == Kind::Star &&
               std::none_of(tokens.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                            tokens.end(),
                            [](const config::GlobToken& behind) {
                              return behind.kind == Kind::Star || behind.kind == Kind::Capture;
                            })) {
      step.tail = static_cast<std::uint16_t>(tokens.size() - i - 1);
    }
    steps_.push_back(step);
  }
}

}  // namespace pannier::policy
