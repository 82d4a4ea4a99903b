#pragma once

#include "pannier/command/command.hpp"

#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::test {

// Requests of all commands of the table, mostly such that the server can run them, some with a word
// too few or too many or on a key of another type. Left out, with the reason beside each: what two
// servers answer differently by nature, what ends or changes the server, what Pannier has of its
// own; further transactions and subscriptions, which the caller makes of several requests. Times to
// live are 120 s at least, so that nothing expires meanwhile. The same seed makes the same
// requests, but for times that count from 1970. Not thread-safe.
class RequestMaker {
 public:
  struct Request {
    std::vector<std::string> words;
    bool tells_time = false;    // its reply is a time to live
    bool is_forwarded = false;  // as a plain request, with others on the same connection
  };

  // Keys begin with one of these.
  RequestMaker(unsigned seed, std::vector<std::string> prefixes);

  // All keys of it begin with `prefix`; when that is empty, each with another one.
  [[nodiscard]] Request next(std::string_view prefix = {});

  [[nodiscard]] int any(int from, int to);
  [[nodiscard]] const std::string& any_prefix();
  [[nodiscard]] std::string any_key(std::string_view prefix = {});

  // Every key that is ever asked for.
  [[nodiscard]] std::vector<std::string> all_keys() const;
  // The command rows that take part.
  [[nodiscard]] std::vector<std::string_view> commands() const;

 private:
  [[nodiscard]] std::string key(std::string_view prefix, char type);
  [[nodiscard]] std::string word_for(char what, std::string_view prefix);
  [[nodiscard]] std::string value();
  [[nodiscard]] std::string life();
  void spoil(std::vector<std::string>& words, const command::CommandSpec* row);

  std::mt19937 random_;
  std::vector<std::string> prefixes_;
  std::vector<std::string> forms_;
  std::size_t next_ = 0;
};

}  // namespace pannier::test
