#include "control_groups.hpp"

#include <fstream>

namespace gabion {

std::string FirstLine(const std::string& file) {
  std::ifstream stream(file);
  std::string line;
  std::getline(stream, line);
  return line;
}

void EachControlGroup(const std::string& controller,
                      const std::function<void(const std::string& folder, bool second)>& look) {
  std::ifstream groups("/proc/self/cgroup");
  std::string line;
  while (std::getline(groups, line)) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) {
      continue;
    }
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool v2 = controllers.empty();
    if (!v2 && controllers.find(controller) == std::string::npos) {
      continue;
    }
    std::string group = line.substr(second + 1);
    const std::string root = v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/" + controller;
    for (;;) {
      look(root + (group == "/" ? "" : group), v2);
      if (group.empty() || group == "/") {
        break;
      }
      const auto slash = group.find_last_of('/');
      group = slash == std::string::npos || slash == 0 ? "/" : group.substr(0, slash);
    }
  }
}

}  // namespace gabion
