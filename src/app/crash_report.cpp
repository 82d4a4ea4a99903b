#include "crash_report.hpp"

#include "pannier/base/log.hpp"

#include <cxxabi.h>

#include <cstdlib>
#include <exception>
#include <typeinfo>
#include <utility>

namespace pannier::app {
namespace {

thread_local std::string thread_name = "control";

std::string current_exception_text() {
  const std::type_info* type = abi::__cxa_current_exception_type();
  if (type == nullptr) {
    return "std::terminate was called";
  }
  try {
    throw;
  } catch (const std::exception& error) {
    return std::string(type->name()) + ": " + error.what();
  } catch (...) {
    return type->name();
  }
}

[[noreturn]] void report() {
  base::log_error("app",
                  "the {} thread failed: {}; this is a bug in Pannier, the process ends so that it "
                  "is started afresh: please report this line",
                  thread_name,
                  current_exception_text());
  base::flush_log();
  std::abort();
}

}  // namespace

void install_crash_report() {
  std::set_terminate(report);
}

void name_thread_for_crashes(std::string name) {
  thread_name = std::move(name);
}

}  // namespace pannier::app
