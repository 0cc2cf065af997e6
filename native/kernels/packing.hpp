// Packs row-major weights [K, N] into the panels that the microkernels read.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "packed.hpp"

namespace gabion::kernels {

/// One weight matrix to pack.
struct PackingTask {
  StoredMatrix source;  ///< [k, n], or [n, k] with `outputs_first`
  size_t k;
  size_t n;
  size_t k_blocks;  ///< blocks of K, packed one after another
  /// The first source column of each panel, in the order of the panels.
  std::vector<size_t> panel_columns;
  /// [k]: SmoothQuant scales; each source row is divided by its scale. Null: none.
  const float* smooth_scales = nullptr;
  bool outputs_first = false;
  /// With `outputs_first`: see StoredLinear::further. All matrices have equally many of the n outputs, and no panel is
  /// in two of them.
  std::array<const void*, 2> further{};
  /// With `outputs_first`: how many columns the second half of each panel's columns is behind its first half, besides
  /// following it; empty: none.
  std::vector<size_t> panel_gaps{};
};

/// Sizes that follow from a task.
struct PackedSize {
  size_t kc;
  size_t group;
  size_t panel_bytes;  ///< of all panels
  size_t scale_count;  ///< floats of all scales
};

/// `nr` is the number of columns per panel. Throws std::invalid_argument for sizes that cannot be packed.
PackedSize SizeOf(const PackingTask& task, Format format, size_t nr);

/// Panels of a task: `panel_columns.size()` per K-block.
inline size_t PanelCount(const PackingTask& task) { return task.k_blocks * task.panel_columns.size(); }

/// Packs one panel into its slot in `panels` and `scales`. Any thread may pack any panel. Returns false if a weight is
/// not finite.
bool PackPanel(const PackingTask& task, Format format, size_t nr, size_t number, void* panels, float* scales);

/// Whether a format quantizes weights and activations to integers.
bool IsInteger(Format format);

/// SmoothQuant (arXiv:2211.10438) with exponent 1/2: per input channel the scale that equalizes the absmax of the
/// activation, `absmax`, and the absmax of its weight row. A channel whose calibrated absmax is far below the mean is
/// treated as a fraction of the mean.
void ComputeSmoothScales(const PackingTask& task, const float* absmax, float* smooth_scales);

/// The number of K-blocks for the second feed-forward layer, whose K is `intermediate`: equal blocks of at most 512,
/// each a whole number of panels and scale groups. 0 if there is no such number.
size_t KBlocksOf(size_t intermediate, size_t nr);

}  // namespace gabion::kernels
