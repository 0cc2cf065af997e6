// Owns small pieces of text that several commands print.

/** `3 texts`, `1 text`. */
export function count(number: number, noun: string): string {
  return `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`
}

/**
 * A text from outside, safe to print: control characters, which could steer a terminal, are shown as their symbols (block
 * U+2400), and those without one, like marks that reverse the reading direction, as U+FFFD.
 */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, (character) => {
    const code = character.charCodeAt(0)
    if (code < 0x20) return String.fromCharCode(0x2400 + code)
    return code === 0x7f ? '\u2421' : '\ufffd'
  })
}

/** Breaks a text between words into lines of at most `width` characters; a longer word stays whole. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const line = lines.at(-1)
    if (line !== undefined && line.length + 1 + word.length <= width) lines[lines.length - 1] = `${line} ${word}`
    else lines.push(word)
  }
  return lines
}

/** For commander: an option that may be given again. */
export function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value]
}

/** Milliseconds for people: three significant digits or so, with the unit. */
export function formatMs(milliseconds: number): string {
  if (Number.isNaN(milliseconds)) return '–'
  if (milliseconds < 0.0995) return `${(milliseconds * 1000).toFixed(milliseconds < 0.00995 ? 1 : 0)} µs`
  return `${milliseconds.toFixed(milliseconds < 9.995 ? 2 : milliseconds < 99.95 ? 1 : 0)} ms`
}
