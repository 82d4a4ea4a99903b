#include "policy_file.hpp"

#include "pannier/base/clock.hpp"
#include "pannier/cache/near_cache.hpp"
#include "pannier/config/policy_loader.hpp"
#include "pannier/policy/command_checks.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <optional>
#include <thread>
#include <utility>

namespace pannier::app {
namespace {

constexpr auto kMostPatience = std::chrono::seconds(1);

std::vector<std::string> lines_of(const std::vector<config::Issue>& issues,
                                  const std::string& path) {
  std::vector<std::string> out;
  out.reserve(issues.size());
  for (const config::Issue& issue : issues) {
    out.push_back(issue.to_string(path));
  }
  return out;
}

// What changes when somebody writes the file, or puts another one in its place.
struct Stamp {
  dev_t device;
  ino_t inode;
  off_t size;
  std::chrono::nanoseconds written;

  bool operator==(const Stamp&) const = default;
};

std::optional<Stamp> stamp_of(const std::string& path) {
  struct stat file {};

  if (::stat(path.c_str(), &file) != 0) {
    return std::nullopt;
  }
  return Stamp{
      file.st_dev,
      file.st_ino,
      file.st_size,
      std::chrono::seconds(file.st_mtim.tv_sec) + std::chrono::nanoseconds(file.st_mtim.tv_nsec)};
}

// How long it is still too fresh; a time in the future is another clock's, and says nothing.
std::chrono::nanoseconds fresh_for(const std::optional<Stamp>& stamp,
                                   std::chrono::nanoseconds quiet) {
  if (!stamp) {
    return {};
  }
  const auto age = std::chrono::system_clock::now().time_since_epoch() - stamp->written;
  return age.count() < 0 || age >= quiet ? std::chrono::nanoseconds::zero() : quiet - age;
}

// Nothing when it did not come to rest.
std::optional<config::LoadPolicyResult> load_at_rest(const std::string& path,
                                                     std::chrono::milliseconds quiet) {
  const auto until = base::Clock::now() + kMostPatience;
  while (base::Clock::now() < until) {
    const std::optional<Stamp> before = stamp_of(path);
    const std::chrono::nanoseconds fresh = fresh_for(before, quiet);
    if (fresh.count() > 0) {
      std::this_thread::sleep_for(fresh);
      continue;
    }
    config::LoadPolicyResult loaded = config::load_policy_file(path);
    if (stamp_of(path) == before) {
      return loaded;
    }
  }
  return std::nullopt;
}

}  // namespace

std::string hash_of(std::string_view text) {
  return fmt::format("{:016x}", cache::NearCache::hash(text));
}

PolicyLook look_at_policy(const std::string& path,
                          const policy::Rules& current,
                          std::chrono::milliseconds quiet) {
  PolicyLook out;
  std::optional<config::LoadPolicyResult> at_rest = load_at_rest(path, quiet);
  if (!at_rest) {
    out.faults.push_back(path + ": it is being written all the time; reload when that is over");
    return out;
  }
  config::LoadPolicyResult& loaded = *at_rest;
  policy::check_commands(loaded);
  out.faults = lines_of(loaded.errors, path);
  out.warnings = lines_of(loaded.warnings, path);
  if (!loaded.policy) {
    return out;
  }
  policy::Origin origin{current.origin.generation + 1, hash_of(loaded.text)};
  if (origin.hash != current.origin.hash) {
    out.rules = policy::compile(std::move(*loaded.policy), &current, std::move(origin));
    out.dropped = policy::classes_to_drop(current, *out.rules);
  }
  return out;
}

std::string first_of(const std::vector<std::string>& faults) {
  if (faults.size() < 2) {
    return faults.empty() ? "" : faults.front();
  }
  return fmt::format("{} and {} more", faults.front(), faults.size() - 1);
}

}  // namespace pannier::app
