// Puts generated text into a page of the documentation, between two comments that name its block.

import { readFile, writeFile } from 'node:fs/promises'
import { format, resolveConfig } from 'prettier'

/** Replaces what is between `<!-- NAME: … -->` and `<!-- end of NAME -->`, and formats the page as `npm run format` does. */
export async function writeBlock(page: string, name: string, text: string): Promise<void> {
  const before = await readFile(page, 'utf8')
  const [opening, closing] = [before.indexOf(`<!-- ${name}:`), before.indexOf(`<!-- end of ${name} -->`)]
  if (opening < 0 || closing < opening) throw new Error(`${page} has no block <!-- ${name}: … --> … <!-- end of ${name} -->`)
  const start = before.indexOf('-->', opening) + '-->'.length
  const after = `${before.slice(0, start)}\n\n${text}\n\n${before.slice(closing)}`
  await writeFile(page, await format(after, { ...(await resolveConfig(page)), parser: 'markdown' }))
}
