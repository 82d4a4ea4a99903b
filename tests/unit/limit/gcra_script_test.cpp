#include "pannier/limit/gcra_script.hpp"

#include <boost/uuid/detail/sha1.hpp>
#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <string>

TEST_CASE("gcra_script: the hash is the text's", "[limit]") {
  boost::uuids::detail::sha1 hash;
  hash.process_bytes(pannier::limit::kGcraScript.data(), pannier::limit::kGcraScript.size());
  boost::uuids::detail::sha1::digest_type digest{};
  hash.get_digest(digest);
  std::string text;
  for (const unsigned int word : digest) {
    text += fmt::format("{:08x}", word);
  }
  CHECK(text == pannier::limit::kGcraScriptSha);
}
