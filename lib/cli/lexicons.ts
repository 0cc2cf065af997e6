// Owns how `--lexicon` is read: languages or files, any number of them.

import { loadLexicon } from '../detection/erosion/lexicon-file.js'
import { RefusalReader } from '../detection/erosion/lexicon.js'

/** The lexicons asked for; null when none is. */
export async function loadLexicons(given: readonly string[] | undefined): Promise<RefusalReader | null> {
  return given === undefined ? null : new RefusalReader(await Promise.all(given.map(loadLexicon)))
}
