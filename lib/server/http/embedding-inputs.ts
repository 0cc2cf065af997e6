// Owns what a request for vectors may hold in the place of texts: token ids of the served model.

import type { Embedder } from '../../embedding/embedder.js'
import { GabionError } from '../../errors.js'
import type { EmbedRequest } from '../service.js'
import type { EmbeddingsRequest } from './schemas.js'

type Input = EmbeddingsRequest['input']

/**
 * The texts of a request.
 *
 * @throws GabionError `INVALID_ARGUMENT` for token ids that are not the model's, and for those with a prompt
 */
export async function textsOf(
  embedder: Embedder,
  input: Input,
  prompt: string | undefined,
): Promise<Pick<EmbedRequest, 'texts' | 'prompt'>> {
  const lists = tokenListsOf(input)
  if (lists === null) return { texts: (typeof input === 'string' ? [input] : input) as string[], prompt }
  if (prompt !== undefined)
    throw new GabionError('INVALID_ARGUMENT', 'prompt_name needs texts: token ids are taken as they are, with the prompt in them')
  const texts: string[] = []
  for (const [index, ids] of lists.entries()) {
    const text = await embedder.textOf(ids)
    if (text === null) throw foreignTokens(embedder, lists.length === 1 ? 'input' : `input[${index}]`)
    texts.push(text)
  }
  return { texts, prompt: '' }
}

function tokenListsOf(input: Input): readonly (readonly number[])[] | null {
  if (typeof input === 'string') return null
  const [first] = input
  if (typeof first === 'number') return [input as number[]]
  return Array.isArray(first) ? (input as number[][]) : null
}

function foreignTokens({ info: { model, maxSequenceLength } }: Embedder, place: string): GabionError {
  return new GabionError(
    'INVALID_ARGUMENT',
    `${place} holds token ids that are not those of ${model} as its own tokenizer gives them, with special tokens, at most ` +
      `${maxSequenceLength}. Send texts instead: LangChain for Python does with OpenAIEmbeddings(check_embedding_ctx_length=False)`,
  )
}
