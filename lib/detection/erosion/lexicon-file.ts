// Owns refusal lexicons as files, bundled and the caller's own; lexicon.ts owns their use.

import { join } from 'node:path'
import { readText } from '../../json/json-file.js'
import { JsonObject } from '../../json/json-object.js'
import { ENGLISH_REFUSALS, RefusalReader, type RefusalLexicon } from './lexicon.js'
import { packagePath } from '../../package-folder.js'

/** Folder of the bundled lexicons, one `LANGUAGE.json` each; English is in the code. */
const LEXICON_FOLDER = packagePath('models', 'detectors', 'lexicons')

/** Languages of the bundled lexicons. */
export const LEXICON_LANGUAGES = ['en', 'de', 'fr'] as const

/**
 * Reads a lexicon: a bundled one by its language, any other by its file, JSON of `language`, `opening` and `patterns`.
 *
 * @throws GabionError `ARTIFACT_INVALID` naming the file and the field
 */
export async function loadLexicon(languageOrFile: string): Promise<RefusalLexicon> {
  if (languageOrFile === ENGLISH_REFUSALS.language) return ENGLISH_REFUSALS
  const bundled = (LEXICON_LANGUAGES as readonly string[]).includes(languageOrFile)
  const file = bundled ? join(LEXICON_FOLDER, `${languageOrFile}.json`) : languageOrFile
  const text = await readText(file, `the refusal lexicon (known languages: ${LEXICON_LANGUAGES.join(', ')})`)
  const fields = JsonObject.parse(text, { source: file, code: 'ARTIFACT_INVALID', what: 'a refusal lexicon' })
  const lexicon = { language: fields.string('language'), opening: fields.integer('opening', 1), patterns: fields.strings('patterns') }
  return new RefusalReader(lexicon).lexicons[0] as RefusalLexicon
}

/** Reads any number of lexicons; null without any. */
export async function loadLexicons(given: readonly string[] | undefined): Promise<RefusalReader | null> {
  return given === undefined ? null : new RefusalReader(await Promise.all(given.map(loadLexicon)))
}
