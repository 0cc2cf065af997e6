// The control groups that a process is in, from its own up to the root, in either version.
#pragma once

#include <functional>
#include <string>

namespace gabion {

/// Calls `look` with each folder of the groups that `controller` ("cpu", "memory") may bound, and whether it is of the
/// second version.
void EachControlGroup(const std::string& controller,
                      const std::function<void(const std::string& folder, bool second)>& look);

/// The first line of a file; empty if there is none.
std::string FirstLine(const std::string& file);

}  // namespace gabion
