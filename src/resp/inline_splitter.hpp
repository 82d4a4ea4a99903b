#pragma once

#include <memory>
#include <string_view>
#include <vector>

namespace pannier::resp {

// Splits an inline command as Redis's sdssplitargs does: "..." with \xHH \n \r \t \b \a, '...' with
// \', blanks between. Appends views to `arguments`: into `line`, or where quotes had to go, into a
// block of memory that is appended to `texts`. False: unbalanced quotes.
[[nodiscard]] bool split_inline(std::string_view line,
                                std::vector<std::string_view>& arguments,
                                std::vector<std::unique_ptr<char[]>>& texts);

}  // namespace pannier::resp
