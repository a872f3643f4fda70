// Messages for the person at the terminal, on stderr. Takes finished text: the formatting library of the
// logging back end must not meet the one in LibTorch's include folder, so neither shows in this header.
#pragma once

#include <string_view>

namespace regroup {

// With `quiet`, only warnings and errors are shown, and no progress.
void set_quiet(bool quiet);
bool is_quiet();

void log_info(std::string_view text);
void log_warning(std::string_view text);
void log_error(std::string_view text);

}  // namespace regroup
