#include "pannier/config/schema.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/config/glob.hpp"

#include "json.hpp"
#include "keys.hpp"

#include <algorithm>

namespace pannier::config {
namespace {

constexpr std::string_view kNumber = "(0|[1-9][0-9]*)";
constexpr std::string_view kPositive = "[1-9][0-9]*";
constexpr std::string_view kTimes = "(ms|s|m|h)";
constexpr std::string_view kSizes = "(B|KiB|MiB|GiB)";

std::string joined(std::initializer_list<std::string_view> parts) {
  std::string out;
  for (const auto part : parts) {
    out += part;
  }
  return out;
}

std::vector<std::string_view> words_of(std::string_view words) {
  std::vector<std::string_view> out;
  while (!words.empty()) {
    const auto bar = std::min(words.find('|'), words.size());
    out.push_back(words.substr(0, bar));
    words.remove_prefix(std::min(bar + 1, words.size()));
  }
  return out;
}

Json pattern(std::string_view body) {
  return Json::object()
      .add("type", Json::text("string"))
      .add("pattern", Json::text(joined({"^", body, "$"})));
}

// Text that YAML may take for a number or a truth value, which the loader does not.
Json plain(std::string_view body) {
  return Json::object()
      .add("type", Json::texts({"string", "number", "boolean"}))
      .add("pattern", Json::text(joined({"^", body, "$"})));
}

Json one_of(std::string_view words) {
  return Json::object().add("enum", Json::texts(words_of(words)));
}

Json whole_number(const Key& key) {
  return Json::object()
      .add("type", Json::text("integer"))
      .add("minimum", Json::number(key.min))
      .add("maximum", Json::number(key.max));
}

// { name }
Json capture_map() {
  const auto nothing = Json::object().add("type", Json::text("null"));
  return Json::object()
      .add("type", Json::text("object"))
      .add("minProperties", Json::number(1))
      .add("maxProperties", Json::number(1))
      .add("propertyNames", pattern("[A-Za-z_][A-Za-z0-9_-]*"))
      .add("additionalProperties", nothing);
}

Json any_of(std::vector<Json> schemas) {
  return schemas.size() == 1 ? std::move(schemas.front())
                             : Json::object().add("anyOf", Json::list(std::move(schemas)));
}

// 0: any length.
Json length(std::int64_t most) {
  auto out = Json::object();
  out.add("type", Json::texts({"string", "number", "boolean"}));
  out.add("minLength", Json::number(1));
  return most == 0 ? out : out.add("maxLength", Json::number(most));
}

Json scalar(const Key& key) {
  const auto digits = key.min > 0 ? kPositive : kNumber;
  switch (key.type) {
    case Type::Address:
      return pattern("(unix:/.+|.+:[0-9]+)");
    case Type::Flag:
      return Json::object().add("type", Json::text("boolean"));
    case Type::Count:
      return whole_number(key);
    case Type::Duration:
      return pattern(joined({digits, kTimes}));
    case Type::FineDuration:
      return pattern(joined({digits, "(us|ms|s|m|h)"}));
    case Type::Size:
      return pattern(joined({digits, kSizes}));
    case Type::Share:
      return pattern(joined({kNumber, "%"}));
    case Type::FineShare:
      return pattern(joined({kNumber, "(\\.[0-9]{1,3})?%"}));
    case Type::Choice:
      return one_of(key.words);
    case Type::Mode:
      // An editor may take it for a number.
      return Json::object()
          .add("type", Json::texts({"string", "integer"}))
          .add("pattern", Json::text("^0[0-7]{3}$"));
    case Type::Glob:
      return length(kMaxGlob);
    case Type::Line:
      return plain("[ -~]{1," + std::to_string(key.max) + "}");
    case Type::Command:
      return plain("(@[A-Za-z0-9_-]+|[A-Za-z0-9_.-]+([ |][A-Za-z0-9_.-]+)?)");
    case Type::Per:
      return any_of({one_of(key.words), pattern("\\{[A-Za-z_][A-Za-z0-9_-]*\\}"), capture_map()});
    case Type::Rate:
      return pattern(joined({kPositive, kSizes, "?/", kPositive, kTimes}));
    case Type::Amount:
      return any_of({whole_number(key), pattern(joined({kNumber, kSizes}))});
    case Type::Secret:
      return pattern("\\$\\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\\}");
    case Type::Text:
      return plain("[!-~]{1," + std::to_string(key.max) + "}");
    default:
      return length(key.max);
  }
}

Json default_of(const Key& key) {
  if (key.type == Type::Flag) {
    return Json::flag(key.shown == "true");
  }
  const auto number = base::parse_int(key.shown);
  return number ? Json::number(*number) : Json::text(key.shown);
}

class Schema {
 public:
  Schema(const KeyTable& keys, bool has_variables) : keys_(&keys), has_variables_(has_variables) {}

  [[nodiscard]] std::string write(std::string_view title) const {
    auto out = Json::object();
    out.add("$schema", Json::text("http://json-schema.org/draft-07/schema#"));
    out.add("title", Json::text(title));
    add_section(*keys_->find(""), out);
    std::string text;
    out.write(text);
    return text + "\n";
  }

 private:
  [[nodiscard]] const Key& row(std::string_view path) const { return *keys_->find(path); }

  [[nodiscard]] Json value(const Key& key) const;
  [[nodiscard]] Json single(const Key& key) const;
  void add_section(const Key& key, Json& out) const;
  void add_secrets(const Key& key, Json& out) const;

  const KeyTable* keys_;
  bool has_variables_;  // ${NAME} may stand for a value
};

Json Schema::single(const Key& key) const {
  std::vector<Json> ways{scalar(key)};
  if (key.words == "auto" && key.type != Type::Text) {
    ways.push_back(one_of("auto"));
  }
  if (has_variables_ && key.type != Type::Secret) {
    ways.push_back(
        Json::object().add("type", Json::text("string")).add("pattern", Json::text("\\$[{$]")));
  }
  return any_of(std::move(ways));
}

// Every way in which the row may be written, with what an editor shows of it.
Json Schema::value(const Key& key) const {
  std::vector<Json> ways;
  if (key.type == Type::Section || key.type == Type::Switchable) {
    auto section = Json::object();
    add_section(key, section);
    ways.push_back(std::move(section));
    if (key.type == Type::Switchable) {
      ways.push_back(one_of("off"));
    }
    const Key* place = &key;  // of what a plain string stands for
    while (place->type == Type::Section && !place->words.empty()) {
      place = &row(joined({place->path, ".", place->words}));
    }
    if (key.type == Type::Switchable && !key.words.empty()) {
      place = &row(joined({key.path, ".", key.words}));
    }
    if (place != &key) {
      ways.push_back(single(*place));
    }
  } else if (key.type == Type::List) {
    ways.push_back(Json::object()
                       .add("type", Json::text("array"))
                       .add("minItems", Json::number(key.min))
                       .add("maxItems", Json::number(key.max))
                       .add("items", value(row(joined({key.path, "[]"})))));
  } else {
    ways.push_back(single(key));
  }
  auto out = any_of(std::move(ways));
  out.add("description", Json::text(key.help));
  if (!key.shown.empty()) {
    out.add("default", default_of(key));
  }
  return out;
}

void Schema::add_section(const Key& key, Json& out) const {
  auto properties = Json::object();
  std::vector<std::string_view> required;
  for (const Key* below : keys_->below(key.path)) {
    if (below->type == Type::Refused) {
      continue;
    }
    properties.add(name_of(*below), value(*below));
    if (below->required) {
      required.push_back(name_of(*below));
    }
  }
  out.add("type", Json::text("object"));
  out.add("additionalProperties", Json::flag(false));
  if (!required.empty()) {
    out.add("required", Json::texts(required));
  }
  add_secrets(key, out);
  out.add("properties", std::move(properties));
}

// Of password and password_file, exactly one.
void Schema::add_secrets(const Key& key, Json& out) const {
  if (keys_->find(joined({key.path, ".password_file"})) == nullptr) {
    return;
  }
  const auto needs = [](std::string_view name) {
    return Json::object().add("required", Json::texts({name}));
  };
  out.add("oneOf", Json::list({needs("password"), needs("password_file")}));
}

}  // namespace

std::string config_schema() {
  return Schema(config_keys(), true).write("pannier.yaml: where Pannier and its Redis are");
}

std::string policy_schema() {
  return Schema(policy_keys(), false).write("policy.yaml: what Pannier may do with which keys");
}

}  // namespace pannier::config
