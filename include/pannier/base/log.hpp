#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <string>
#include <string_view>

// The log: a facade, so that spdlog stays in one .cpp. Thread-safe; a line is formatted only when
// its level is on. Never called per request.
namespace pannier::base {

enum class LogLevel : std::uint8_t {
  Debug,
  Info,
  Warn,
  Error,
  Off
};

enum class LogFormat : std::uint8_t {
  Text,
  Json
};

// Once, before threads start. Before this call lines go to stderr as text at level info.
void configure_log(LogLevel level, LogFormat format);
// At any time, from any thread.
void set_log_level(LogLevel level);
void flush_log();
[[nodiscard]] bool log_enabled(LogLevel level);
void write_log(LogLevel level, std::string_view module, std::string_view message);

template <typename... Args>
void log(LogLevel level,
         std::string_view module,
         fmt::format_string<Args...> format,
         Args&&... args) {
  if (log_enabled(level)) {
    write_log(level, module, fmt::format(format, std::forward<Args>(args)...));
  }
}

template <typename... Args>
void log_debug(std::string_view module, fmt::format_string<Args...> format, Args&&... args) {
  log(LogLevel::Debug, module, format, std::forward<Args>(args)...);
}

template <typename... Args>
void log_info(std::string_view module, fmt::format_string<Args...> format, Args&&... args) {
  log(LogLevel::Info, module, format, std::forward<Args>(args)...);
}

template <typename... Args>
void log_warn(std::string_view module, fmt::format_string<Args...> format, Args&&... args) {
  log(LogLevel::Warn, module, format, std::forward<Args>(args)...);
}

template <typename... Args>
void log_error(std::string_view module, fmt::format_string<Args...> format, Args&&... args) {
  log(LogLevel::Error, module, format, std::forward<Args>(args)...);
}

}  // namespace pannier::base
