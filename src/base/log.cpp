#include "pannier/base/log.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <memory>

namespace pannier::base {
namespace {

struct Log {
  std::shared_ptr<spdlog::logger> sink = std::make_shared<spdlog::logger>(
      "pannier", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  LogFormat format = LogFormat::Text;

  Log() { sink->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v"); }
};

Log& instance() {
  static Log log;
  return log;
}

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::Debug:
      return spdlog::level::debug;
    case LogLevel::Info:
      return spdlog::level::info;
    case LogLevel::Warn:
      return spdlog::level::warn;
    case LogLevel::Error:
      return spdlog::level::err;
    case LogLevel::Off:
      return spdlog::level::off;
  }
  return spdlog::level::info;
}

std::string json_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      out.push_back(c);
    }
  }
  return out;
}

}  // namespace

void configure_log(LogLevel level, LogFormat format) {
  Log& log = instance();
  log.format = format;
  log.sink->set_level(to_spdlog(level));
  log.sink->flush_on(spdlog::level::info);
  if (format == LogFormat::Json) {
    log.sink->set_pattern(R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l",%v})");
  }
}

void set_log_level(LogLevel level) {
  instance().sink->set_level(to_spdlog(level));
}

void flush_log() {
  instance().sink->flush();
}

bool log_enabled(LogLevel level) {
  return instance().sink->should_log(to_spdlog(level));
}

void write_log(LogLevel level, std::string_view module, std::string_view message) {
  Log& log = instance();
  if (log.format == LogFormat::Json) {
    log.sink->log(
        to_spdlog(level), R"("module":"{}","message":"{}")", module, json_escaped(message));
  } else {
    log.sink->log(to_spdlog(level), "{}: {}", module, message);
  }
}

}  // namespace pannier::base
