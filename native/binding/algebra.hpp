// The functions of the addon for fits and for comparing vectors. They block the calling thread.
#pragma once

#include <napi.h>

namespace gabion::binding {

// addOuterProducts(rows: Float32Array | Float64Array, dimensions, shift: Float64Array, products: Float64Array, sums:
// Float64Array)
void AddOuterProducts(const Napi::CallbackInfo& info);

// symmetricEigen(matrix: Float64Array, count, values: Float64Array, vectors: Float64Array): destroys the matrix
void SymmetricEigen(const Napi::CallbackInfo& info);

// compareRows(rows: Float32Array | Float64Array, query: Float64Array, scores: Float64Array, cosine: boolean)
void CompareRows(const Napi::CallbackInfo& info);

}  // namespace gabion::binding
