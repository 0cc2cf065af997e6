// Owns the way back from token ids to a text, by a tokenizer's definition (tokenizer.json). Knows no model.

import { GabionError } from '../errors.js'
import type { JsonObject } from '../json/json-object.js'
import { readJson } from '../json/json-file.js'

/** Puts before a word's first piece what stands for the space there, in SentencePiece's vocabularies. */
const METASPACE = '\u2581'

/** Writes tokens as a text. That its tokens are the same ones again is for the caller to check. */
export class TokenDecoder {
  readonly #tokens: ReadonlyMap<number, string>
  readonly #join: (tokens: readonly string[]) => string

  private constructor(tokens: ReadonlyMap<number, string>, join: (tokens: readonly string[]) => string) {
    this.#tokens = tokens
    this.#join = join
  }

  /** @throws GabionError `MODEL_INVALID` naming the file */
  static async load(file: string): Promise<TokenDecoder> {
    const tokenizer = await readJson(file, 'tokenizer', 'MODEL_INVALID')
    const model = tokenizer.object('model')
    const type = model.string('type')
    return new TokenDecoder(new Map(tokensOf(model)), joinOf(type, model))
  }

  /** The text; null where an id is not in the vocabulary. */
  decode(ids: readonly number[]): string | null {
    const tokens: string[] = []
    for (const id of ids) {
      const token = this.#tokens.get(id)
      if (token === undefined) return null
      tokens.push(token)
    }
    return this.#join(tokens)
  }
}

/** A vocabulary is an object from token to id, or with Unigram a list of tokens with their scores. */
function* tokensOf(model: JsonObject): Generator<[number, string]> {
  const vocabulary = model.fields.vocab
  if (Array.isArray(vocabulary)) {
    for (const [id, entry] of (vocabulary as [string, number][]).entries()) yield [id, entry[0]]
  } else {
    for (const [token, id] of Object.entries(vocabulary as Record<string, number>)) yield [id, token]
  }
}

function joinOf(type: string, model: JsonObject): (tokens: readonly string[]) => string {
  switch (type) {
    case 'WordPiece': {
      const prefix = model.has('continuing_subword_prefix') ? model.string('continuing_subword_prefix') : '##'
      return (tokens) =>
        tokens
          .map((token) => (token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`))
          .join('')
          .trimStart()
    }
    case 'Unigram':
      return (tokens) => tokens.join('').replaceAll(METASPACE, ' ').trimStart()
    case 'BPE':
      return (tokens) => {
        const text = tokens.join('')
        return text.includes(METASPACE) ? text.replaceAll(METASPACE, ' ').trimStart() : fromByteLetters(text)
      }
    default:
      throw new GabionError('MODEL_UNSUPPORTED', `token ids of a tokenizer of type ${type} cannot be read`)
  }
}

/** Byte-level BPE writes each byte as a letter: printable ones as themselves, the others from U+0100 on. */
const BYTE_OF_LETTER = ((): ReadonlyMap<string, number> => {
  const isPrintable = (byte: number): boolean => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174
  let next = 256
  return new Map(Array.from({ length: 256 }, (_, byte) => [String.fromCodePoint(isPrintable(byte) ? byte : next++), byte]))
})()

function fromByteLetters(text: string): string {
  return Buffer.from(Array.from(text, (letter) => BYTE_OF_LETTER.get(letter) ?? 63)).toString()
}
