#pragma once

#include "pannier/base/address.hpp"

#include <cstddef>
#include <functional>
#include <vector>

namespace pannier::upstream {

// Which address of a reader endpoint is which node. A place is a node for good; addresses come and
// go, and a free place is taken again. Pure.
//
// Some endpoints answer with all addresses, some with one picked at random. So an address that is
// missing from an answer with several has left; where the answer is a single one, the others stay
// for as long as somebody answers there.
class ReaderPlaces {
 public:
  explicit ReaderPlaces(std::size_t most) : most_(most) {}

  struct Taken {
    std::size_t place = 0;
    base::SocketAddress address;
  };

  struct Changes {
    std::vector<std::size_t> left;
    std::vector<Taken> taken;
    std::size_t no_room = 0;  // addresses without a place
  };

  // `must_stay`: whether a place is not to be given up yet, because its node is the primary.
  [[nodiscard]] Changes answered(const std::vector<base::SocketAddress>& addresses,
                                 const std::function<bool(std::size_t)>& must_stay);
  // Nobody answers at this place; true: it is given up, and free.
  [[nodiscard]] bool fell_silent(std::size_t place);

 private:
  struct Place {
    base::SocketAddress address;  // length 0: free
    bool listed = false;          // the last answer had it
  };

  [[nodiscard]] std::size_t free_place();

  std::size_t most_;
  std::vector<Place> places_;
};

}  // namespace pannier::upstream
