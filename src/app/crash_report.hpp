#pragma once

#include <string>

// The last words of a process that cannot go on because of a fault in Pannier itself.
namespace pannier::app {

// From now on an exception that nobody handles is logged with the thread that it left, and the
// process aborts where it was thrown: nothing is unwound, so that a core dump shows the place, no
// half reply is sent, and the orchestrator starts the process afresh (exit status 134). Call once.
void install_crash_report();

// What the calling thread is called in that report.
void name_thread_for_crashes(std::string name);

}  // namespace pannier::app
