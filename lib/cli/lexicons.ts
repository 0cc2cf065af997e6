// Owns the option `--lexicon`: any number of languages or files.

import { loadLexicon } from '../detection/erosion/lexicon-file.js'
import { RefusalReader } from '../detection/erosion/lexicon.js'

/** Loads the requested lexicons; null without any. */
export async function loadLexicons(given: readonly string[] | undefined): Promise<RefusalReader | null> {
  return given === undefined ? null : new RefusalReader(await Promise.all(given.map(loadLexicon)))
}
