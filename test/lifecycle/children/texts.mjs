/** Texts of mixed length; the longest take tens of milliseconds each. */
export function mixedTexts(count, mark = '') {
  return Array.from({ length: count }, (_, i) => `${mark} text ${i} ` + 'and a few more words '.repeat((i * 13) % 60))
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

export function fail(message) {
  console.error(message)
  process.exit(99)
}
