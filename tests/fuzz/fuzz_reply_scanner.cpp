#include "../support/resp_feeding.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

// The first byte chooses how the rest is cut; however it is cut, the same frames must come out.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const std::size_t step = 1 + data[0];
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);

  pannier::test::ReplyFeed whole;
  whole.feed(input);
  pannier::test::ReplyFeed cut;
  for (std::size_t at = 0; at < input.size(); at += step) {
    cut.feed(input.substr(at, step));
  }
  pannier::test::require(cut.events() == whole.events());
  return 0;
}
