// Owns sample texts of an exact token count, for benchmarks. Knows the tokenizer only through the embedder.

import type { Embedder } from '../embedding/embedder.js'
import { GabionError } from '../errors.js'

/** Common words, one token each in most vocabularies. */
const WORDS = (
  'the house stands near a river and people walk there every day with their children while old trees give shade in summer ' +
  'when it rains we stay at home read books cook dinner talk about work music travel history or simply look out of the window'
).split(' ')

/**
 * Makes `variants` different texts of exactly `tokens` tokens, special tokens included.
 * @throws GabionError INVALID_ARGUMENT if there is no such text (for example with fewer tokens than special tokens)
 */
export function textsOfLength(embedder: Embedder, tokens: number, variants: number): string[] {
  return Array.from({ length: variants }, (_, variant) => textOfLength(embedder, tokens, variant))
}

function textOfLength(embedder: Embedder, tokens: number, variant: number): string {
  const word = (index: number): string => WORDS[(variant * 7 + index) % WORDS.length] as string
  let words = 0
  let text = ''
  while (words <= 2 * tokens) {
    const missing = tokens - embedder.tokenize(text).totalTokenCount
    if (missing === 0) return text
    if (missing < 0) break
    // Most words are one token, so this converges quickly.
    for (let added = 0; added < missing; added++) text += (text === '' ? '' : ' ') + word(words++)
  }
  throw new GabionError('INVALID_ARGUMENT', `--tokens ${String(tokens)}: no sample text of exactly that many tokens in this vocabulary`)
}
