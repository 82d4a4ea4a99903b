#include "absent_reply.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/resp/reply_writer.hpp"

#include <algorithm>
#include <cstdint>

namespace pannier::proxy {
namespace {

using Arguments = std::span<const std::string_view>;

enum class Shape : std::uint8_t {
  Null,
  Zero,
  MinusTwo,
  EmptyBulk,
  NoneType,
  Array,
  Map,
  Set,
  Scan,
  Nulls,       // one per argument behind the key
  NullArrays,  // the same, of arrays
  Zeros,
  NullPerKey,
  Rank,      // null; a null array WITHSCORE
  Position,  // LPOS: null, an empty array with COUNT
  Random,    // null; an empty array with a count
  BitPosition,
  BitFields  // :0 per GET
};

struct Row {
  std::string_view name;
  Shape shape;
  std::size_t numbers_from = 0;  // so many arguments, from here, are integers;
  std::size_t numbers = 0;       // the server refuses others
};

// clang-format off
constexpr Row kRows[] = {
    {"bitcount", Shape::Zero},
    {"bitfield_ro", Shape::BitFields},
    {"bitpos", Shape::BitPosition},
    {"dump", Shape::Null},
    {"exists", Shape::Zero},
    {"expiretime", Shape::MinusTwo},
    {"geodist", Shape::Null},
    {"geohash", Shape::Nulls},
    {"geopos", Shape::NullArrays},
    {"georadius_ro", Shape::Array},
    {"georadiusbymember_ro", Shape::Array},
    {"geosearch", Shape::Array},
    {"get", Shape::Null},
    {"getbit", Shape::Zero, 2, 1},
    {"getrange", Shape::EmptyBulk, 2, 2},
    {"hexists", Shape::Zero},
    {"hget", Shape::Null},
    {"hgetall", Shape::Map},
    {"hkeys", Shape::Array},
    {"hlen", Shape::Zero},
    {"hmget", Shape::Nulls},
    {"hrandfield", Shape::Random},
    {"hscan", Shape::Scan, 2, 1},
    {"hstrlen", Shape::Zero},
    {"hvals", Shape::Array},
    {"lindex", Shape::Null},
    {"llen", Shape::Zero},
    {"lpos", Shape::Position},
    {"lrange", Shape::Array, 2, 2},
    {"memory|usage", Shape::Null},
    {"mget", Shape::NullPerKey},
    {"object|encoding", Shape::Null},
    {"object|idletime", Shape::Null},
    {"object|refcount", Shape::Null},
    {"pexpiretime", Shape::MinusTwo},
    {"pfcount", Shape::Zero},
    {"pttl", Shape::MinusTwo},
    {"scard", Shape::Zero},
    {"sdiff", Shape::Set},
    {"sinter", Shape::Set},
    {"sismember", Shape::Zero},
    {"smembers", Shape::Set},
    {"smismember", Shape::Zeros},
    {"sort_ro", Shape::Array},
    {"srandmember", Shape::Random},
    {"sscan", Shape::Scan, 2, 1},
    {"strlen", Shape::Zero},
    {"substr", Shape::EmptyBulk, 2, 2},
    {"sunion", Shape::Set},
    {"touch", Shape::Zero},
    {"ttl", Shape::MinusTwo},
    {"type", Shape::NoneType},
    {"xlen", Shape::Zero},
    {"xrange", Shape::Array},
    {"xrevrange", Shape::Array},
    {"zcard", Shape::Zero},
    {"zcount", Shape::Zero},
    {"zlexcount", Shape::Zero},
    {"zmscore", Shape::Nulls},
    {"zrandmember", Shape::Random},
    {"zrange", Shape::Array},
    {"zrangebylex", Shape::Array},
    {"zrangebyscore", Shape::Array},
    {"zrank", Shape::Rank},
    {"zrevrange", Shape::Array, 2, 2},
    {"zrevrangebylex", Shape::Array},
    {"zrevrangebyscore", Shape::Array},
    {"zrevrank", Shape::Rank},
    {"zscan", Shape::Scan, 2, 1},
    {"zscore", Shape::Null},
};

// clang-format on

const Row* find_row(const command::CommandSpec& spec) {
  const auto* const found = std::lower_bound(
      std::begin(kRows), std::end(kRows), spec.name, [](const Row& row, std::string_view name) {
        return row.name < name;
      });
  return found != std::end(kRows) && found->name == spec.name ? found : nullptr;
}

bool numbers_fit(const Row& row, Arguments arguments) {
  for (std::size_t i = row.numbers_from; i < row.numbers_from + row.numbers; ++i) {
    if (i >= arguments.size() || !base::parse_int(arguments[i])) {
      return false;
    }
  }
  return true;
}

bool has_word(Arguments arguments, std::size_t from, std::string_view word) {
  return std::any_of(
      arguments.begin() + static_cast<std::ptrdiff_t>(from),
      arguments.end(),
      [word](std::string_view each) { return base::equals_ignoring_case(each, word); });
}

// GET type offset, as often as it is said.
bool append_bit_fields(std::string& out, Arguments arguments) {
  const std::size_t fields = (arguments.size() - 2) / 3;
  if (arguments.size() != 2 + fields * 3) {
    return false;
  }
  for (std::size_t i = 2; i < arguments.size(); i += 3) {
    if (!base::equals_ignoring_case(arguments[i], "get")) {
      return false;
    }
  }
  resp::append_array_header(out, fields);
  for (std::size_t i = 0; i < fields; ++i) {
    resp::append_integer(out, 0);
  }
  return true;
}

bool append_by_options(std::string& out, Shape shape, Arguments arguments, resp::Version version) {
  switch (shape) {
    case Shape::Rank:
      if (arguments.size() > 3) {
        resp::append_null_array(out, version);
      } else {
        resp::append_null(out, version);
      }
      return true;
    case Shape::Position:
      if (has_word(arguments, 3, "count")) {
        resp::append_array_header(out, 0);
      } else {
        resp::append_null(out, version);
      }
      return true;
    case Shape::Random:
      if (arguments.size() > 2) {
        resp::append_array_header(out, 0);
      } else {
        resp::append_null(out, version);
      }
      return arguments.size() == 2 || base::parse_int(arguments[2]).has_value();
    case Shape::BitPosition:
      resp::append_integer(out, arguments[2] == "1" ? -1 : 0);
      return arguments[2] == "1" || arguments[2] == "0";
    case Shape::BitFields:
      return append_bit_fields(out, arguments);
    default:
      return false;
  }
}

void append_each(std::string& out, Shape shape, std::size_t count, resp::Version version) {
  resp::append_array_header(out, count);
  for (std::size_t i = 0; i < count; ++i) {
    if (shape == Shape::Zeros) {
      resp::append_integer(out, 0);
    } else if (shape == Shape::NullArrays) {
      resp::append_null_array(out, version);
    } else {
      resp::append_null(out, version);
    }
  }
}

bool append_shape(std::string& out, Shape shape, Arguments arguments, resp::Version version) {
  switch (shape) {
    case Shape::Null:
      resp::append_null(out, version);
      return true;
    case Shape::Zero:
      resp::append_integer(out, 0);
      return true;
    case Shape::MinusTwo:
      resp::append_integer(out, -2);
      return true;
    case Shape::EmptyBulk:
      resp::append_bulk(out, "");
      return true;
    case Shape::NoneType:
      resp::append_simple(out, "none");
      return true;
    case Shape::Array:
      resp::append_array_header(out, 0);
      return true;
    case Shape::Map:
      resp::append_map_header(out, 0, version);
      return true;
    case Shape::Set:
      resp::append_set_header(out, 0, version);
      return true;
    case Shape::Scan:
      resp::append_array_header(out, 2);
      resp::append_bulk(out, "0");
      resp::append_array_header(out, 0);
      return true;
    case Shape::Nulls:
    case Shape::NullArrays:
    case Shape::Zeros:
      append_each(out, shape, arguments.size() - 2, version);
      return true;
    case Shape::NullPerKey:
      append_each(out, shape, arguments.size() - 1, version);
      return true;
    default:
      return append_by_options(out, shape, arguments, version);
  }
}

}  // namespace

bool append_absent_reply(std::string& out,
                         const command::CommandSpec& row,
                         Arguments arguments,
                         resp::Version version) {
  const Row* const known = find_row(row);
  return known != nullptr && command::arity_fits(row, arguments.size()) &&
         numbers_fit(*known, arguments) && append_shape(out, known->shape, arguments, version);
}

}  // namespace pannier::proxy
