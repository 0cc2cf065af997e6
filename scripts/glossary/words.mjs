// Owns the comparison of a name or text with retired entries, word by word. Knows neither files nor languages.

/** Lower-case words of an identifier or text: camelCase, snake_case, kebab-case and spaces all part words. */
export function wordsOf(text) {
  return text
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replaceAll(/([A-Z]+)([A-Z][a-z])/g, '$1 $2')
    .split(/[^A-Za-z0-9]+/)
    .filter((word) => word !== '')
    .map((word) => word.toLowerCase())
}

/** A test for one retired entry: a constant's beginning (`MOST_`), or words of which the last may end in `*`. */
export function matcherOf(entry) {
  if (/^[A-Z]+_$/.test(entry)) return ({ text }) => new RegExp(`(^|[^A-Z_])${entry}[A-Z]`).test(text)
  const open = entry.endsWith('*')
  const wanted = wordsOf(entry)
  return ({ words }) => {
    for (let start = 0; start + wanted.length <= words.length; start++) {
      const fits = wanted.every((word, at) => {
        const found = words[start + at]
        return open && at === wanted.length - 1 ? found.startsWith(word) : found === word
      })
      if (fits) return true
    }
    return false
  }
}

/** The retired names that a spot of `file` uses. */
export function findRetired(spot, file, retired) {
  const words = wordsOf(spot.text)
  return retired.filter(
    ({ matches, within, except, kinds }) =>
      (spot.kind === 'prose' || kinds.has(spot.kind)) &&
      (within.length === 0 || within.some((path) => file.startsWith(path))) &&
      !except.some((path) => file.startsWith(path)) &&
      matches({ text: spot.text, words }),
  )
}
