// What the process may use of this machine: encoder threads and the instruction set.
#pragma once

#include <cstddef>
#include <string>

namespace gabion {

/// min(cgroup CPU quota rounded up, processors in the affinity mask, physical cores), at least 1.
size_t DefaultThreadCount();

/// The widest vector instruction set that this processor has, as a short name such as "avx2" or "avx512-vnni".
std::string InstructionSet();

}  // namespace gabion
