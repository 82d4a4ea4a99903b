#include "pannier/policy/ttl_plan.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <iterator>
#include <string_view>

using namespace pannier::policy;  // NOLINT(google-build-using-namespace)
using pannier::command::CommandSpec;

TEST_CASE("ttl plan: no storing command is forgotten", "[policy]") {
  // They may write, but leave no value under a key of their own naming that a TTL could be given.
  static constexpr std::string_view kOthers[] = {
      "blmpop",
      "blpop",
      "brpop",
      "bzmpop",
      "bzpopmax",
      "bzpopmin",
      "cl.throttle",
      "del",
      "flushall",
      "flushdb",
      "function|delete",
      "function|flush",
      "function|load",
      "function|restore",
      "getdel",
      "hdel",
      "hexpire",
      "hexpireat",
      "hgetdel",
      "hgetex",
      "hpersist",
      "hpexpire",
      "hpexpireat",
      "lmpop",
      "lpop",
      "lrem",
      "ltrim",
      "migrate",
      "move",
      "pfdebug",
      "rpop",
      "spop",
      "srem",
      "swapdb",
      "unlink",
      "xack",
      "xackdel",
      "xautoclaim",
      "xclaim",
      "xdel",
      "xdelex",
      "xgroup|createconsumer",
      "xgroup|delconsumer",
      "xgroup|destroy",
      "xgroup|setid",
      "xreadgroup",
      "xsetid",
      "xtrim",
      "zmpop",
      "zpopmax",
      "zpopmin",
      "zrem",
      "zremrangebylex",
      "zremrangebyrank",
      "zremrangebyscore",
      "delifeq",
  };
  for (const CommandSpec& row : pannier::command::table()) {
    const bool other =
        std::find(std::begin(kOthers), std::end(kOthers), row.name) != std::end(kOthers);
    const bool planned = ttl_form(row) != TtlForm::None;
    CAPTURE(row.name);
    if (row.has(pannier::command::kWrite | pannier::command::kDenyOom)) {
      CHECK(planned != other);
    } else {
      const bool script = ttl_form(row) == TtlForm::Script;
      CHECK(planned == script);
    }
  }
}
