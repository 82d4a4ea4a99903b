#include "document.hpp"

#include "pannier/base/bytes.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <exception>
#include <sstream>
#include <utility>

namespace pannier::config {
namespace {

// The deepest key lies at depth 4. yaml-cpp parses by recursion and calls us before it goes deeper,
// so this bound also keeps a hostile file away from the end of the stack.
constexpr std::size_t kMaxDepth = 16;

Place place_of(const YAML::Mark& mark) {
  return mark.is_null() ? Place{} : Place{mark.line + 1, mark.column + 1};
}

// yaml-cpp's messages may repeat bytes of the file.
std::string shown(std::string_view message) {
  return base::printable(message, 200);
}

// YAML's indentation is spaces only, which its parser's messages do not say.
bool begins_with_tab(std::string_view text, const YAML::Mark& mark) {
  if (mark.is_null() || static_cast<std::size_t>(mark.pos) > text.size()) {
    return false;
  }
  const auto before = text.substr(0, static_cast<std::size_t>(mark.pos));
  const auto begin = before.rfind('\n') + 1;  // 0 when there is none
  const auto line = text.substr(begin);
  return line.substr(0, line.find_first_not_of(" \t")).find('\t') != std::string_view::npos;
}

// Builds the tree from yaml-cpp's events.
class Builder final : public YAML::EventHandler {
 public:
  explicit Builder(Faults& faults) : faults_(&faults) {}

  Value root;
  bool refused = false;

  void OnDocumentStart(const YAML::Mark& /*mark*/) override {}

  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& /*mark*/, YAML::anchor_t anchor) override {
    // yaml-cpp's mark of a missing value is the next token's place: the key's place is better.
    const Place place = has_key_ ? key_place_ : Place{};
    check_plain(place, "", anchor);
    add(made(Value::Kind::Nothing, place));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
    refuse(place_of(mark), "aliases (`*name`) are not supported: write the value out");
    add(made(Value::Kind::Nothing, place_of(mark)));
  }

  void OnScalar(const YAML::Mark& mark,
                const std::string& tag,
                YAML::anchor_t anchor,
                const std::string& value) override {
    check_plain(place_of(mark), tag, anchor);
    auto scalar = made(Value::Kind::Scalar, place_of(mark));
    scalar.text = value;
    add(std::move(scalar));
  }

  void OnSequenceStart(const YAML::Mark& mark,
                       const std::string& tag,
                       YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    open(Value::Kind::List, mark, tag, anchor);
  }

  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark,
                  const std::string& tag,
                  YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    open(Value::Kind::Map, mark, tag, anchor);
  }

  void OnMapEnd() override { close(); }

 private:
  // A map or list that is being read, and the key that its value will get.
  struct Open {
    Value value;
    bool outer_has_key = false;
    std::string outer_key;
    Place outer_key_place;
  };

  static Value made(Value::Kind kind, Place place) {
    Value value;
    value.kind = kind;
    value.place = place;
    return value;
  }

  void refuse(Place place, std::string message) {
    refused = true;
    faults_->error(place, "", std::move(message));
  }

  void check_plain(Place place, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != 0) {
      refuse(place, "anchors (`&name`) are not supported: write the value out");
    }
    if (!tag.empty() && tag != "?" && tag != "!") {
      refuse(place, "tags (`!name`) are not supported");
    }
  }

  void open(Value::Kind kind,
            const YAML::Mark& mark,
            const std::string& tag,
            YAML::anchor_t anchor) {
    const auto place = place_of(mark);
    check_plain(place, tag, anchor);
    if (open_.size() >= kMaxDepth) {
      throw YAML::ParserException(mark, "nested too deeply");
    }
    open_.push_back(Open{made(kind, place), has_key_, std::move(key_), key_place_});
    has_key_ = false;
  }

  void close() {
    auto done = std::move(open_.back());
    open_.pop_back();
    has_key_ = done.outer_has_key;
    key_ = std::move(done.outer_key);
    key_place_ = done.outer_key_place;
    add(std::move(done.value));
  }

  [[nodiscard]] bool expects_key() const {
    return !open_.empty() && open_.back().value.kind == Value::Kind::Map && !has_key_;
  }

  void add(Value value) {
    if (open_.empty()) {
      root = std::move(value);
    } else if (expects_key()) {
      if (value.kind != Value::Kind::Scalar) {
        refuse(value.place, "a key must be a plain word; text that begins with { needs quotes");
      }
      key_ = std::move(value.text);
      key_place_ = value.place;
      has_key_ = true;
    } else {
      value.key = std::move(key_);
      value.key_place = key_place_;
      key_.clear();
      has_key_ = false;
      open_.back().value.items.push_back(std::move(value));
    }
  }

  Faults* faults_;
  std::vector<Open> open_;
  bool has_key_ = false;
  std::string key_;
  Place key_place_;
};

}  // namespace

bool parse_document(std::string_view text, Value& root, Faults& faults) {
  Builder builder(faults);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    if (parser.HandleNextDocument(builder)) {
      root = std::move(builder.root);
      Builder second(faults);
      if (parser.HandleNextDocument(second)) {
        faults.error(second.root.where(), "", "a second document: one file holds one");
        return false;
      }
    }
  } catch (const YAML::Exception& error) {
    const bool alias = error.msg == YAML::ErrorMsg::UNKNOWN_ANCHOR;
    faults.error(
        place_of(error.mark),
        "",
        "not valid YAML: " + shown(error.msg) +
            (alias                               ? "; text that begins with * needs quotes"
             : begins_with_tab(text, error.mark) ? "; the line begins with a tab, write spaces"
                                                 : ""));
    return false;
  } catch (const std::exception& error) {
    faults.error({}, "", "not valid YAML: " + shown(error.what()));
    return false;
  }
  return !builder.refused;
}

}  // namespace pannier::config
