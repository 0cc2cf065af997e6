// Owns matrix products for fits, by native sums of outer products. Matrices are row-major doubles.

import { fromNative, nativeAddon } from '../native.js'

/** A matrix of doubles, row after row. */
export interface DoubleMatrix {
  readonly rows: number
  readonly columns: number
  readonly data: Float64Array
}

/** Aᵀ·B for matrices with equal numbers of rows. */
export function transposeTimes(a: DoubleMatrix, b: DoubleMatrix): DoubleMatrix {
  if (a === b) return ownProducts(a)
  const width = a.columns + b.columns
  const joined = new Float64Array(a.rows * width)
  for (let row = 0; row < a.rows; row++) {
    joined.set(a.data.subarray(row * a.columns, (row + 1) * a.columns), row * width)
    joined.set(b.data.subarray(row * b.columns, (row + 1) * b.columns), row * width + a.columns)
  }
  const products = ownProducts({ rows: a.rows, columns: width, data: joined }).data
  const data = new Float64Array(a.columns * b.columns)
  for (let i = 0; i < a.columns; i++) data.set(products.subarray(i * width + a.columns, (i + 1) * width), i * b.columns)
  return { rows: a.columns, columns: b.columns, data }
}

function ownProducts({ rows, columns, data }: DoubleMatrix): DoubleMatrix {
  const products = new Float64Array(columns * columns)
  if (rows > 0) {
    native(() => {
      nativeAddon().addOuterProducts(data, columns, new Float64Array(columns), products, new Float64Array(columns))
    })
  }
  return { rows: columns, columns, data: products }
}

/** The transposed matrix. */
export function transposed({ rows, columns, data }: DoubleMatrix): DoubleMatrix {
  const result = new Float64Array(data.length)
  for (let row = 0, at = 0; row < rows; row++) for (let j = 0; j < columns; j++, at++) result[j * rows + row] = data[at]!
  return { rows: columns, columns: rows, data: result }
}

/** Eigenvalues of a symmetric matrix in descending order, and eigenvectors as rows. */
export function symmetricEigen(matrix: DoubleMatrix, count = matrix.rows): { values: Float64Array; vectors: DoubleMatrix } {
  const n = matrix.rows
  const values = new Float64Array(n)
  const vectors = new Float64Array(count * n)
  native(() => {
    nativeAddon().symmetricEigen(matrix.data.slice(), count, values, vectors)
  })
  return { values, vectors: { rows: count, columns: n, data: vectors } }
}

function native(work: () => void): void {
  try {
    work()
  } catch (error) {
    throw fromNative(error)
  }
}
