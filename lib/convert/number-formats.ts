// Conversions between float32 and the two 16-bit formats, on whole arrays of raw bits. Knows no file format.

const QUIET_NAN_BFLOAT16 = 0x7fc0

/**
 * Rounds float32 values to bfloat16, to nearest with ties to even (the rounding of IEEE 754 and of every bf16 unit).
 *
 * @returns the 16-bit patterns, one for each value; NaN becomes the quiet NaN
 */
export function bfloat16FromFloat32(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const result = new Uint16Array(values.length)
  for (let index = 0; index < bits.length; index++) {
    const word = bits[index] as number
    const isNaN = (word & 0x7fffffff) > 0x7f800000
    result[index] = isNaN ? QUIET_NAN_BFLOAT16 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16
  }
  return result
}

/** Widens bfloat16 patterns to float32; exact. */
export function float32FromBfloat16(patterns: Uint16Array): Float32Array {
  const bits = new Uint32Array(patterns.length)
  for (let index = 0; index < patterns.length; index++) bits[index] = (patterns[index] as number) << 16
  return new Float32Array(bits.buffer)
}

/**
 * Rounds float32 values to IEEE 754 binary16, to nearest with ties to even.
 *
 * @returns the 16-bit patterns; values from 65,520 on become infinite, NaN becomes the quiet NaN
 */
export function float16FromFloat32(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const sum = new Float32Array(1)
  const sumBits = new Uint32Array(sum.buffer)
  return Uint16Array.from(bits, (word) => {
    const sign = (word >>> 16) & 0x8000
    const magnitude = word & 0x7fffffff
    if (magnitude > 0x7f800000) return sign | 0x7e00
    if (magnitude >= 0x47800000) return sign | 0x7c00
    if (magnitude < 0x38800000) {
      // Subnormal: near 1/2, floats have the spacing of these numbers, so the addition itself rounds.
      sumBits[0] = magnitude
      sum[0] = (sum[0] as number) + 0.5
      return sign | (sumBits[0] - 0x3f000000)
    }
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13)
  })
}

/** Widens IEEE 754 binary16 patterns to float32; exact, subnormals, infinities and NaN included. */
export function float32FromFloat16(patterns: Uint16Array): Float32Array {
  const result = new Float32Array(patterns.length)
  for (let index = 0; index < patterns.length; index++) {
    const pattern = patterns[index] as number
    const sign = pattern & 0x8000 ? -1 : 1
    const exponent = (pattern >>> 10) & 0x1f
    const fraction = pattern & 0x3ff
    if (exponent === 0x1f) result[index] = fraction === 0 ? sign * Infinity : NaN
    else if (exponent === 0) result[index] = sign * fraction * 2 ** -24
    else result[index] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
  }
  return result
}
