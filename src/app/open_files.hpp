#pragma once

#include <cstdint>

namespace pannier::app {

// One descriptor per session, and some for everything else. Logs when the system gives fewer.
void raise_open_files(std::uint64_t wanted);

}  // namespace pannier::app
