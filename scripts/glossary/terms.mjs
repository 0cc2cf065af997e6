// Owns the reading of GLOSSARY.md: its terms, and the names that they retire with their limits.

import { matcherOf } from './words.mjs'

export const KINDS = ['names', 'headings', 'messages']

/** The entries of the page: `{ term, replaces }`, where `replaces` is the text after "Replaces" or ''. */
export function glossaryTerms(page) {
  return page
    .split(/^(?=- \*\*|#|$)/m)
    .filter((part) => part.startsWith('- **'))
    .map((part) => {
      const text = part.slice(2).replaceAll(/\s+/g, ' ')
      const [head, replaces = ''] = text.split(/ Replaces (?=`)/)
      const terms = [...head.slice(0, head.indexOf(': ')).matchAll(/\*\*(.+?)\*\*/g)].map(([, term]) => term.replaceAll('\\', ''))
      return { term: terms.join(', '), replaces }
    })
}

/** The retired names of all terms, each with a matcher and the paths and kinds that it is limited to. */
export function retiredNames(terms) {
  return terms.flatMap(({ term, replaces }) =>
    [...replaces.matchAll(/`([^`]+)`(?: \(([^)]*)\))?/g)].map(([, entry, limits = '']) => ({
      entry,
      term,
      matches: matcherOf(entry),
      ...readLimits(limits, entry),
    })),
  )
}

function readLimits(limits, entry) {
  const kinds = new Set()
  const paths = { in: [], not: [] }
  let list
  for (const word of limits.split(/[\s;]+/).filter((part) => part !== '')) {
    if (KINDS.includes(word)) kinds.add(word)
    else if (word === 'in' || word === 'not') list = paths[word]
    else if (list !== undefined) list.push(word)
    else throw new Error(`GLOSSARY.md: cannot read the limits (${limits}) of ${entry}: expected in PATH…, not PATH…, ${KINDS.join(', ')}`)
  }
  return { within: paths.in, except: paths.not, kinds: kinds.size > 0 ? kinds : new Set(KINDS) }
}
