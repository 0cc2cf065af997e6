// Owns text formatting shared by commands.

/** `3 texts`, `1 text`. */
export function count(number: number, noun: string): string {
  return `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`
}

/**
 * Makes untrusted text safe to print: control characters, which could control a terminal, become their symbols (block
 * U+2400), and those without one, such as bidirectional overrides, U+FFFD.
 */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, (character) => {
    const code = character.charCodeAt(0)
    if (code < 0x20) return String.fromCharCode(0x2400 + code)
    return code === 0x7f ? '\u2421' : '\ufffd'
  })
}

/** Wraps a text into lines of at most `width` characters; longer words are not broken. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const line = lines.at(-1)
    if (line !== undefined && line.length + 1 + word.length <= width) lines[lines.length - 1] = `${line} ${word}`
    else lines.push(word)
  }
  return lines
}

/** commander parser: a repeatable option. */
export function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value]
}

/** Formats milliseconds with about three significant digits and the unit. */
export function formatMs(milliseconds: number): string {
  if (Number.isNaN(milliseconds)) return '–'
  if (milliseconds < 0.0995) return `${(milliseconds * 1000).toFixed(milliseconds < 0.00995 ? 1 : 0)} µs`
  return `${milliseconds.toFixed(milliseconds < 9.995 ? 2 : milliseconds < 99.95 ? 1 : 0)} ms`
}
