// What an x64 processor has and the operating system saves, by cpuid and xgetbv: compilers' own runtimes answer this
// question differently, and zig's always with no.
#pragma once

namespace gabion {

/// All are false on other processors.
struct X64Features {
  bool avx2 = false;  ///< with FMA
  bool avx_vnni = false;
  bool avx512 = false;  ///< F, BW, DQ and VL
  bool avx512_vnni = false;
  bool avx512_bf16 = false;
  bool amx = false;  ///< tiles with BF16 and int8; Linux wants to be asked for their state besides
};

/// Of the processor this runs on.
X64Features FindX64Features() noexcept;

}  // namespace gabion
