#include "reader_places.hpp"

#include <algorithm>

namespace pannier::upstream {

ReaderPlaces::Changes ReaderPlaces::answered(const std::vector<base::SocketAddress>& addresses,
                                             const std::function<bool(std::size_t)>& must_stay) {
  Changes changes;
  const bool is_whole = addresses.size() > 1;
  for (std::size_t i = 0; i < places_.size(); ++i) {
    Place& place = places_[i];
    const bool taken = place.address.length != 0;
    place.listed =
        taken && std::find(addresses.begin(), addresses.end(), place.address) != addresses.end();
    if (taken && !place.listed && is_whole && !must_stay(i)) {
      place = {};
      changes.left.push_back(i);
    }
  }
  for (const base::SocketAddress& address : addresses) {
    const bool known = std::any_of(places_.begin(), places_.end(), [&](const Place& place) {
      return place.address == address;
    });
    const std::size_t place = known ? most_ : free_place();
    if (place < most_) {
      places_[place] = {address, true};
      changes.taken.push_back({place, address});
    } else if (!known) {
      ++changes.no_room;
    }
  }
  return changes;
}

bool ReaderPlaces::fell_silent(std::size_t place) {
  if (places_[place].listed || places_[place].address.length == 0) {
    return false;
  }
  places_[place] = {};
  return true;
}

std::size_t ReaderPlaces::free_place() {
  const auto found = std::find_if(
      places_.begin(), places_.end(), [](const Place& place) { return place.address.length == 0; });
  if (found == places_.end() && places_.size() < most_) {
    places_.emplace_back();
    return places_.size() - 1;
  }
  return found == places_.end() ? most_ : static_cast<std::size_t>(found - places_.begin());
}

}  // namespace pannier::upstream
