#include "../support/resp_feeding.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

// The first byte chooses how the rest is cut and whether limits are tiny; however requests are cut,
// and whether they are taken one by one or in batches, the same must come out.
namespace {

using pannier::resp::Limits;
using pannier::test::RequestFeed;

Limits limits_for(std::uint8_t choice) {
  Limits limits;
  if ((choice & 1) != 0) {
    limits.large_request = 32;
    limits.max_inline = 16;
    limits.max_bulk = 200;
    limits.max_arguments = 100;
  }
  return limits;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const Limits limits = limits_for(data[0]);
  const std::size_t step = 1 + data[0] / 2;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);

  RequestFeed whole(limits, RequestFeed::By::Batch);
  whole.feed(input);
  RequestFeed singly(limits, RequestFeed::By::Parse);
  singly.feed(input);
  RequestFeed cut(limits, RequestFeed::By::Batch);
  for (std::size_t at = 0; at < input.size(); at += step) {
    cut.feed(input.substr(at, step));
  }
  pannier::test::require(singly.events() == whole.events());
  pannier::test::require(cut.events() == whole.events());
  return 0;
}
