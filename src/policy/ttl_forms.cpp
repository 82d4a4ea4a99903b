#include "ttl_forms.hpp"

#include "pannier/base/bytes.hpp"

#include <algorithm>
#include <array>

namespace pannier::policy {
namespace {

using enum TtlTarget;
using Form = TtlForm;
using Arguments = std::span<const std::string_view>;
using base::equals_ignoring_case;

constexpr bool kMaybe = true;
constexpr bool kFresh = true;

// clang-format off
constexpr TtlRow kRows[] = {
    {"append", Form::Other, First},
    {"bitfield", Form::Other, First},
    {"bitop", Form::Other, Second, false, kFresh},
    {"blmove", Form::Other, Second, kMaybe},
    {"brpoplpush", Form::Other, Second, kMaybe},
    {"copy", Form::Other, Second, kMaybe},
    {"decr", Form::Other, First},
    {"decrby", Form::Other, First},
    {"eval", Form::Script, None},
    {"eval_ro", Form::Script, None},
    {"evalsha", Form::Script, None},
    {"evalsha_ro", Form::Script, None},
    {"expire", Form::Expire, First},
    {"expireat", Form::Expire, First},
    {"fcall", Form::Script, None},
    {"fcall_ro", Form::Script, None},
    {"geoadd", Form::Other, First},
    {"georadius", Form::Other, LastKey, false, kFresh},
    {"georadiusbymember", Form::Other, LastKey, false, kFresh},
    {"geosearchstore", Form::Other, First, false, kFresh},
    {"getex", Form::GetEx, First},
    {"getset", Form::GetSet, First},
    {"hincrby", Form::Other, First},
    {"hincrbyfloat", Form::Other, First},
    {"hmset", Form::Other, First},
    {"hset", Form::Other, First},
    {"hsetex", Form::Other, First, kMaybe},
    {"hsetnx", Form::Other, First, kMaybe},
    {"incr", Form::Other, First},
    {"incrby", Form::Other, First},
    {"incrbyfloat", Form::Other, First},
    {"linsert", Form::Other, First, kMaybe},
    {"lmove", Form::Other, Second, kMaybe},
    {"lpush", Form::Other, First},
    {"lpushx", Form::Other, First, kMaybe},
    {"lset", Form::Other, First, kMaybe},
    {"mset", Form::Other, Pairs, false, kFresh},
    {"msetnx", Form::Other, Pairs, kMaybe},
    {"persist", Form::Persist, First},
    {"pexpire", Form::Expire, First},
    {"pexpireat", Form::Expire, First},
    {"pfadd", Form::Other, First},
    {"pfmerge", Form::Other, First},
    {"psetex", Form::SetEx, First},
    {"rename", Form::Other, Second, kMaybe},
    {"renamenx", Form::Other, Second, kMaybe},
    {"restore", Form::Restore, First},
    {"restore-asking", Form::Restore, First},
    {"rpoplpush", Form::Other, Second, kMaybe},
    {"rpush", Form::Other, First},
    {"rpushx", Form::Other, First, kMaybe},
    {"sadd", Form::Other, First},
    {"sdiffstore", Form::Other, First, false, kFresh},
    {"set", Form::Set, First},
    {"setbit", Form::Other, First},
    {"setex", Form::SetEx, First},
    {"setnx", Form::SetNx, First},
    {"setrange", Form::Other, First},
    {"sinterstore", Form::Other, First, false, kFresh},
    {"smove", Form::Other, Second, kMaybe},
    {"sort", Form::Other, LastKey, false, kFresh},
    {"sunionstore", Form::Other, First, false, kFresh},
    {"xadd", Form::Other, First},
    {"xgroup|create", Form::Other, Second},
    {"zadd", Form::Other, First},
    {"zdiffstore", Form::Other, First, false, kFresh},
    {"zincrby", Form::Other, First},
    {"zinterstore", Form::Other, First, false, kFresh},
    {"zrangestore", Form::Other, First, false, kFresh},
    {"zunionstore", Form::Other, First, false, kFresh},
};
// clang-format on

constexpr TtlRow kNothing{};

// By command::index_of.
using RowTable = std::array<const TtlRow*, 1024>;

RowTable make_table() {
  RowTable table;
  table.fill(&kNothing);
  for (const TtlRow& row : kRows) {
    if (const command::CommandSpec* spec = command::find(row.name)) {
      table.at(command::index_of(*spec)) = &row;
    }
  }
  return table;
}

// A word among the arguments from `from` to `to`.
bool has_word(Arguments arguments, std::size_t from, std::size_t to, std::string_view word) {
  to = std::min(to, arguments.size());
  for (std::size_t i = from; i < to; ++i) {
    if (equals_ignoring_case(arguments[i], word)) {
      return true;
    }
  }
  return false;
}

// ZADD and GEOADD: options stand between the key and the first number.
bool has_condition(Arguments arguments) {
  for (std::size_t i = 2; i < arguments.size(); ++i) {
    const std::string_view word = arguments[i];
    if (equals_ignoring_case(word, "nx") || equals_ignoring_case(word, "xx") ||
        equals_ignoring_case(word, "gt") || equals_ignoring_case(word, "lt")) {
      return true;
    }
    if (!equals_ignoring_case(word, "ch") && !equals_ignoring_case(word, "incr")) {
      return false;
    }
  }
  return false;
}

}  // namespace

const TtlRow& ttl_row(const command::CommandSpec& row) {
  static const RowTable kTable = make_table();
  return *kTable.at(std::min<std::size_t>(command::index_of(row), kTable.size() - 1));
}

TtlForm ttl_form(const command::CommandSpec& row) {
  return ttl_row(row).form;
}

bool stores(const TtlRow& row, Arguments arguments) {
  if (row.name == "bitfield") {
    return has_word(arguments, 2, arguments.size(), "set") ||
           has_word(arguments, 2, arguments.size(), "incrby");
  }
  if (row.name == "xgroup|create") {
    return has_word(arguments, 5, arguments.size(), "mkstream");
  }
  if (row.name == "copy") {
    return !has_word(arguments, 3, arguments.size(), "db");
  }
  return true;
}

bool is_conditional(const TtlRow& row, Arguments arguments) {
  if (row.name == "zadd" || row.name == "geoadd") {
    return has_condition(arguments);
  }
  // Options of XADD stand before its id; its fields have an even number from there on.
  return row.is_conditional ||
         (row.name == "xadd" && has_word(arguments, 2, arguments.size() - 3, "nomkstream"));
}

}  // namespace pannier::policy
