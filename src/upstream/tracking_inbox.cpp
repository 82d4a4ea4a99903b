#include "tracking_inbox.hpp"

#include "pannier/upstream/tracking.hpp"

namespace pannier::upstream {

TrackingInbox::Outcome TrackingInbox::receive(std::string_view frame, base::TimePoint now) {
  PushReader reader(frame);
  if (has_kept() || budget_ == 0) {
    kept_.push_back({std::string(frame), reader, now});
    return Outcome::Kept;
  }
  const Outcome outcome = read(frame, reader);
  if (outcome == Outcome::Read && !reader.at_end()) {
    kept_.push_back({std::string(frame), reader, now});
  }
  return outcome;
}

TrackingInbox::Outcome TrackingInbox::read_kept() {
  if (front_done_) {
    kept_.pop_front();
    front_done_ = false;
  }
  if (kept_.empty() || budget_ == 0) {
    return Outcome::Kept;
  }
  Kept& front = kept_.front();
  const Outcome outcome = read(front.frame, front.reader);
  front_done_ = outcome == Outcome::Read && front.reader.at_end();
  return outcome;
}

TrackingInbox::Outcome TrackingInbox::read(std::string_view frame, PushReader& reader) {
  batch_.keys.clear();
  batch_.flush = reader.kind() == PushReader::Kind::Flush;
  batch_.canary = reader.kind() == PushReader::Kind::Canary;
  batch_.canary_value = batch_.canary ? reader.payload(frame) : std::string_view();
  if (reader.at_end()) {
    --budget_;
  }
  while (budget_ > 0 && !reader.at_end()) {
    --budget_;
    const auto key = reader.next(frame);
    if (key && *key == kCanaryKey) {
      batch_.canary = true;
    } else if (key) {
      batch_.keys.push_back(*key);
    }
  }
  switch (reader.kind()) {
    case PushReader::Kind::Malformed:
      return Outcome::Malformed;
    case PushReader::Kind::RedirectBroken:
      return Outcome::RedirectBroken;
    default:
      return Outcome::Read;
  }
}

}  // namespace pannier::upstream
