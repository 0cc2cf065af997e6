#include "cpu.hpp"

#if defined(__linux__)
#include <sched.h>
#else
#include <thread>
#endif

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <sstream>

#include "../system/x64_features.hpp"
#include "control_groups.hpp"

namespace gabion {
namespace {

#if defined(__linux__)
// Processors the kernel may schedule this process on.
size_t AffinityCount(cpu_set_t& set) {
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) {
    return 1;
  }
  return static_cast<size_t>(std::max(1, CPU_COUNT(&set)));
}

// Two hardware threads of one core share its multiply units, so only cores count.
size_t PhysicalCores(const cpu_set_t& set) {
  std::set<std::string> cores;
  for (size_t processor = 0; processor < CPU_SETSIZE; ++processor) {
    if (!CPU_ISSET(processor, &set)) {
      continue;
    }
    const std::string topology = "/sys/devices/system/cpu/cpu" + std::to_string(processor) + "/topology/";
    const std::string siblings = FirstLine(topology + "thread_siblings_list");
    cores.insert(siblings.empty() ? std::to_string(processor) : siblings);
  }
  return std::max<size_t>(1, cores.size());
}

size_t UsableCores() {
  cpu_set_t set;
  const size_t allowed = AffinityCount(set);
  return std::min(allowed, PhysicalCores(set));
}
#else
size_t UsableCores() { return std::max(1U, std::thread::hardware_concurrency()); }
#endif

double QuotaOf(const std::string& quota, const std::string& period) {
  if (quota.empty() || quota == "max" || quota.front() == '-') {
    return std::numeric_limits<double>::infinity();
  }
  const double divisor = std::strtod(period.c_str(), nullptr);
  const double dividend = std::strtod(quota.c_str(), nullptr);
  return divisor > 0 && dividend > 0 ? dividend / divisor : std::numeric_limits<double>::infinity();
}

// The tightest quota of the process's control group and all above it, for cgroup v2 and v1.
double CgroupQuota() {
  double quota = std::numeric_limits<double>::infinity();
  EachControlGroup("cpu", [&quota](const std::string& folder, bool second) {
    if (second) {
      std::istringstream limits(FirstLine(folder + "/cpu.max"));
      std::string allowed;
      std::string period;
      limits >> allowed >> period;
      quota = std::min(quota, QuotaOf(allowed, period));
    } else {
      quota =
          std::min(quota, QuotaOf(FirstLine(folder + "/cpu.cfs_quota_us"), FirstLine(folder + "/cpu.cfs_period_us")));
    }
  });
  return quota;
}

}  // namespace

size_t DefaultThreadCount() {
  size_t count = UsableCores();
  const double quota = CgroupQuota();
  if (std::isfinite(quota)) {
    count = std::min(count, static_cast<size_t>(std::ceil(quota)));
  }
  return std::max<size_t>(1, count);
}

std::string InstructionSet() {
#if defined(__x86_64__)
  const X64Features has = FindX64Features();
  if (has.avx512) {
    return has.avx512_vnni ? "avx512-vnni" : "avx512";
  }
  return has.avx2 ? "avx2" : "sse2";
#elif defined(__aarch64__)
  return "neon";
#else
  return "generic";
#endif
}

}  // namespace gabion
