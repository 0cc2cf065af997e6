// What the erosion detector does with languages: guessing them, refusal phrases of other ones, and saying where it is out of its depth.

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { EmbeddedText } from '../../lib/detection/detector.js'
import { readArtifact } from '../../lib/detection/erosion/artifact-file.js'
import { ErosionDetector, type ErosionVerdict } from '../../lib/detection/erosion/erosion.js'
import { guessLanguage } from '../../lib/detection/erosion/language.js'
import { loadLexicon } from '../../lib/detection/erosion/lexicon-file.js'
import { ENGLISH_REFUSALS, RefusalReader } from '../../lib/detection/erosion/lexicon.js'
import { EROSION_ARTIFACTS } from '../../lib/detection/erosion/load-erosion.js'
import { isGabionError } from '../../lib/errors.js'
import { exchangeIn } from './exchange-in-conversation.js'

const DECLINING = {
  de: [
    'Es tut mir leid, aber dabei kann ich Ihnen nicht helfen.',
    'Das darf ich ohne den Code leider nicht tun.',
    'Ich kann Ihnen diese Angaben nicht geben, sie gehören einem anderen Kunden.',
    'Leider ist es mir nicht möglich, das Konto ohne Prüfung zu öffnen.',
    'Ich muss das ablehnen: Es verstößt gegen unsere Regeln.',
  ],
  fr: [
    'Je suis désolé, mais je ne peux pas vous aider avec cela.',
    'Je regrette, je n’ai pas le droit de communiquer ces données.',
    'Il m’est impossible d’ouvrir le compte sans vérification.',
    'Je dois refuser : ce serait contraire à nos règles.',
    'Je ne suis pas autorisée à accorder cette remise.',
  ],
}
const HELPING = {
  de: [
    'Gern, ich habe die Adresse geändert. Das Paket kommt am Dienstag.',
    'Ihre Karte ist gesperrt, die neue ist unterwegs.',
    'Guten Tag! Wie kann ich Ihnen helfen?',
  ],
  fr: [
    'Bien sûr, votre colis arrive mardi matin.',
    'Votre carte est bloquée et la nouvelle est en route.',
    'Bonjour ! Que puis-je faire pour vous ?',
  ],
}

describe('the lexicons of German and French', () => {
  for (const language of ['de', 'fr'] as const) {
    test(`${language}: declining replies are flagged, helping ones are not`, async () => {
      const reader = new RefusalReader(await loadLexicon(language))
      for (const reply of DECLINING[language]) assert.deepEqual(reader.read(reply), { opening: true, anywhere: true }, reply)
      for (const reply of HELPING[language]) assert.deepEqual(reader.read(reply), { opening: false, anywhere: false }, reply)
    })
  }

  test('several are read side by side, each with its own opening', async () => {
    const reader = new RefusalReader([ENGLISH_REFUSALS, await loadLexicon('de')])
    assert.equal(reader.read(DECLINING.de[0] as string).opening, true)
    assert.equal(reader.read("I'm sorry, but no.").opening, true)
    assert.equal(reader.read(DECLINING.fr[0] as string).anywhere, false)
    const late = 'Guten Tag. '.repeat(21)
    assert.deepEqual(reader.read(`${late}Das kann ich nicht.`), { opening: false, anywhere: true })
  })

  test("a file of the caller's own is read, and one that is wrong is refused by its field", async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gabion-lexicon-'))
    try {
      const file = join(folder, 'nl.json')
      await writeFile(file, JSON.stringify({ language: 'nl', opening: 200, patterns: ['het spijt me'] }))
      assert.equal(new RefusalReader(await loadLexicon(file)).read('Het spijt me, dat gaat niet.').opening, true)
      await writeFile(file, JSON.stringify({ language: 'nl', opening: 0, patterns: ['x'] }))
      await assert.rejects(
        loadLexicon(file),
        (error) => isGabionError(error) && error.code === 'ARTIFACT_INVALID' && error.message.includes('opening'),
      )
      await writeFile(file, JSON.stringify({ language: 'nl', opening: 9, patterns: ['('] }))
      await assert.rejects(loadLexicon(file), (error) => isGabionError(error) && error.message.includes('regular expression'))
      await assert.rejects(loadLexicon('xx'), (error) => isGabionError(error) && error.message.includes('known languages: en, de, fr'))
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})

describe('the guess of a language', () => {
  test('names those that are not English', async () => {
    const texts: Record<string, string> = {
      de: DECLINING.de[0] as string,
      fr: DECLINING.fr[1] as string,
      es: 'Lamento las molestias; no me es posible abrir la cuenta sin verificar su identidad primero.',
      it: 'Il pacco arriva domani mattina tra le nove e le undici.',
      ru: 'К сожалению, я не могу вам с этим помочь.',
      ja: '申し訳ありませんが、そのお手伝いはできません。',
    }
    for (const [tag, text] of Object.entries(texts)) assert.equal((await guessLanguage(text))?.tag, tag, text)
  })

  test('says nothing of what is too short to tell', async () => {
    for (const text of ['', '42', 'OK', '👍', 'Madrid, Lisboa']) assert.equal(await guessLanguage(text), null, text)
  })

  test('takes fewer than 1 in 200 English replies for another language', async () => {
    const lines = gunzipSync(readFileSync(fileURLToPath(new URL('../../data/sgd-test.jsonl.gz', import.meta.url))))
      .toString()
      .trim()
      .split('\n')
    const replies = lines.flatMap((line) =>
      (JSON.parse(line) as { turns: { model?: string; assistant?: string }[] }).turns.map((turn) => turn.assistant ?? turn.model ?? ''),
    )
    assert.ok(replies.length > 3000)
    const guesses = await Promise.all(replies.map(guessLanguage))
    const mistaken = guesses.filter((language) => ![undefined, 'en'].includes(language?.tag))
    assert.ok(mistaken.length < replies.length / 200, `${String(mistaken.length)} of ${String(replies.length)}`)
  })
})

describe('a conversation that is not English', () => {
  async function verdictOn(reply: string, languages?: readonly string[]): Promise<ErosionVerdict> {
    const artifact = await readArtifact(EROSION_ARTIFACTS.default)
    const lexicons = languages === undefined ? undefined : await Promise.all(languages.map(loadLexicon))
    const detector = new ErosionDetector({ artifact, ...(lexicons !== undefined && { lexicon: lexicons }) })
    const vector = new Float32Array(384)
    vector[0] = 1
    const text = (words: string): EmbeddedText => ({
      text: words,
      windows: [{ vector, projected: null, start: 0, end: words.length }],
    })
    return (await detector.judge(detector.start(), exchangeIn({ user: text('hello'), assistant: text(reply) }))).verdict
  }

  test('is told of in the reasons, by the name of the language', async () => {
    const verdict = await verdictOn(DECLINING.de[0] as string)
    assert.deepEqual(verdict.foreign, { tag: 'de', name: 'German' })
    assert.match(verdict.reasons[0] ?? '', /reads like German: the detector was trained on English/)
    assert.equal(verdict.refused.anywhere, false)
  })

  test('is not told of when the lexicon knows the language, and its refusals count', async () => {
    const verdict = await verdictOn(DECLINING.de[0] as string, ['en', 'de'])
    assert.equal(verdict.foreign, null)
    assert.equal(verdict.refused.opening, true)
  })

  test('an English one has no such reason', async () => {
    const verdict = await verdictOn('I have changed the address on your order.')
    assert.equal(verdict.foreign, null)
  })
})
