// Weights from the file's row-major [in, out] form into the panels that the kernels read.
#pragma once

#include <cstddef>
#include <vector>

#include "packed.hpp"

namespace gabion::kernels {

/// One weight matrix to be packed.
struct PackingJob {
  StoredMatrix source;  ///< [inputs, outputs]
  size_t inputs;
  size_t outputs;
  size_t slices;  ///< parts of the inputs that are packed one after another
  /// The first column in the source of each panel, in the order of the panels.
  std::vector<size_t> panel_columns;
  /// [inputs]: each of the source's rows is divided by its factor; null: none is.
  const float* input_factors = nullptr;
};

/// Sizes that follow from a job.
struct PackedSize {
  size_t depth;
  size_t group;
  size_t panel_bytes;  ///< of all panels
  size_t scale_count;  ///< floats of all scales
};

/// `panel` is the number of columns of a panel. Throws std::invalid_argument for sizes that cannot be packed.
PackedSize SizeOf(const PackingJob& job, Format format, size_t panel);

/// Panels of a job: slice by slice, `panel_columns.size()` each.
inline size_t PanelsOf(const PackingJob& job) { return job.slices * job.panel_columns.size(); }

/// Packs one panel of one job into its place in `panels` and `scales`. Any thread may pack any panel.
/// Returns false if a weight is not finite.
bool PackPanel(const PackingJob& job, Format format, size_t panel, size_t number, void* panels, float* scales);

/// Whether a format rounds weights and inputs to integers.
bool IsInteger(Format format);

/// For each input of a weight matrix: the factor that makes the range of the input, `greatest`, and that of its weights
/// equal. Inputs of which nothing is known take part with a share of the mean.
void ShareRange(const StoredMatrix& weight, size_t inputs, size_t outputs, const float* greatest, float* factors);

/// Equal parts of `intermediate` that a feed-forward is computed in: each at most 512 wide and a whole number of panels
/// and scale groups.
size_t SlicesOf(size_t intermediate, size_t panel);

}  // namespace gabion::kernels
