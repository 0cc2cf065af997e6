// Eigenvalues and eigenvectors of a symmetric matrix.
#pragma once

#include <cstddef>

#include "instance.hpp"

namespace gabion::algebra {

/// All eigenvalues of `matrix` [n, n] (destroyed; only its upper triangle is read), in descending order, into `values`
/// [n], and the unit eigenvectors of the first `count` of them into the rows of `vectors` [count, n].
///
/// Householder reduction to tridiagonal form, then the implicit QL method (Golub and Van Loan, Matrix
/// Computations, 8.3; Bowdler, Martin, Reinsch and Wilkinson 1968). Errors are a few units in the last place of the
/// largest eigenvalue. Returns false when an eigenvalue does not converge, as happens for values that are not finite.
/// Throws std::bad_alloc.
bool SymmetricEigen(double* matrix, size_t n, size_t count, double* values, double* vectors, size_t threads,
                    const Variant& variant = ChosenVariant());

}  // namespace gabion::algebra
