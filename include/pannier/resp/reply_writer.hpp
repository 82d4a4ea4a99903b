#pragma once

#include "pannier/resp/protocol.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

// The only place that prints replies of Pannier's own. All append to `out`; pure.
namespace pannier::resp {

void append_simple(std::string& out, std::string_view text);    // +text
void append_error(std::string& out, std::string_view text);     // -text (CR and LF become ' ')
void append_integer(std::string& out, std::int64_t value);      // :n
void append_bulk(std::string& out, std::string_view bytes);     // $n
void append_null(std::string& out, Version version);            // $-1 or _
void append_null_array(std::string& out, Version version);      // *-1 or _
void append_array_header(std::string& out, std::size_t count);  // *n
void append_map_header(std::string& out, std::size_t pairs, Version version);     // *2n or %n
void append_set_header(std::string& out, std::size_t count, Version version);     // *n or ~n
void append_push_header(std::string& out, std::size_t count, Version version);    // *n or >n
void append_bool(std::string& out, bool value, Version version);                  // :1/:0 or #t/#f
void append_double(std::string& out, double value, Version version);              // bulk or ,n
void append_verbatim(std::string& out, std::string_view bytes, Version version);  // bulk or =txt:

}  // namespace pannier::resp
