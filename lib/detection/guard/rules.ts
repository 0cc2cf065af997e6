// Owns the splitting of a system prompt into sentences that can each be read as a rule: lists, tables, headings and prose of any layout.
// Knows text only.

/** Sentences of a prompt that are kept; about 10,000 words. */
const MAX_SENTENCES = 1000
/** UTF-16 units of a sentence; the rest would not be read. */
const MAX_LENGTH = 800
/** Shorter ones, such as labels, say nothing by themselves. */
const MIN_WORDS = 3
/** A lead-in of more words than this is a sentence of its own. */
const MAX_LEAD_WORDS = 12
/** A heading of at least this many words says something by itself. */
const MIN_TITLE_WORDS = 5
/** Sentences of at least this many words are split at semicolons. */
const MIN_SPLIT_WORDS = 20

const BULLET = /^\s*(?:[-*+•◦▪‣–—·]|\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,4})[.)]|\d{1,2}(?:\.\d{1,2})+\.?|\d{1,2}(?=\s+[A-Z]))\s+(?=\S)/u
const HEADING = /^\s*#{1,6}\s+(.*?)\s*#*\s*$/
const TABLE_RULE = /^\s*\|?[\s:|-]*-{3,}[\s:|-]*$/
const FENCE = /^\s*(?:```|~~~)/

/** A lead-in or heading with one of these decides the meaning of what it introduces. */
const DECIDES =
  /\b(?:not?|never|don['’]?t|can(?:not|['’]t)|mustn['’]?t|avoid|refuse|forbidden|prohibited|may|must|allowed|only|always|nicht|nie|jamais|nunca|mai)\b/iu

/** An exception belongs to the rule before it. */
const EXCEPTION =
  /^(?:unless|except(?:ion|ions|ed)?\b|excepting|otherwise|but\b|however|only if|only when|provided|elsewhere\b|no exceptions?\b|this does not apply|außer|es sei denn|sauf|salvo|excepto)/iu

const ABBREVIATIONS =
  /(?:^|[\s("'“[])(?:e\.g|i\.e|etc|vs|cf|approx|incl|excl|esp|max|min|no|nos|nr|art|sec|sect|para|fig|tel|ext|dept|est|mr|mrs|ms|mx|dr|prof|st|jr|sr|inc|ltd|co|corp|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|a\.m|p\.m|u\.s|u\.k|z\.\s?b|d\.\s?h|usw|bzw|ca|evtl|ggf|u\.\s?a|mme|mlle|p\.\s?ej|sra?|dra|av|\p{Lu})\.$/iu

/**
 * The rules of a system prompt, in its order and without repetitions: sentences, list items with the line that introduces them where
 * that decides their meaning ("Never:"), table rows with their header. An exception ("Unless …") stays with its sentence.
 */
export function ruleSentences(system: string): string[] {
  const found = new Set<string>()
  for (const { lead, text } of blocksOf(system)) {
    for (const sentence of sentencesOf(text)) {
      const rule = lead === '' ? sentence : `${lead} ${sentence}`
      if (wordsOf(sentence) >= (lead === '' ? MIN_WORDS : 1)) found.add(rule.slice(0, MAX_LENGTH))
      if (found.size >= MAX_SENTENCES) return [...found]
    }
  }
  return [...found]
}

/** A list item, table row or paragraph, with the lead-in that it depends on. */
interface Block {
  readonly lead: string
  text: string
}

function blocksOf(system: string): Block[] {
  const blocks: Block[] = []
  let heading = ''
  let lead = ''
  let table: { readonly header: readonly string[] | null; readonly first: readonly string[] } | null = null
  let isOpen = false
  let isFirst = false
  for (const raw of system.replaceAll('\r\n', '\n').split('\n')) {
    const line = raw.replace(/^\s*>\s?/, '')
    const last = blocks.at(-1)
    if (line.trim() === '' || FENCE.test(line)) {
      // A lead-in may be separated from its list by a blank line.
      isOpen = false
      table = null
      continue
    }
    if (TABLE_RULE.test(line)) {
      // The row above it was a header.
      if (table !== null) {
        table = { header: table.first, first: [] }
        blocks.pop()
      }
      continue
    }
    if (line.trimStart().startsWith('|')) {
      const cells = cellsOf(line)
      blocks.push({ lead: leadOf(heading), text: rowOf(table?.header ?? [], cells) })
      table ??= { header: null, first: cells }
      continue
    }
    table = null
    const [, title] = HEADING.exec(line) ?? []
    if (title !== undefined || isTitle(line)) {
      heading = plain(title ?? line)
      if (wordsOf(heading) >= MIN_TITLE_WORDS) blocks.push({ lead: '', text: heading })
      lead = ''
      isOpen = false
      isFirst = true
      continue
    }
    const bullet = BULLET.exec(line)?.[0]
    if (bullet !== undefined) {
      blocks.push({ lead: lead || leadOf(heading), text: plain(line.slice(bullet.length)) })
      isOpen = true
      continue
    }
    const text = plain(line)
    if (isOpen && last !== undefined && continues(last.text, text)) {
      last.text = `${last.text} ${text}`
      continue
    }
    if (text.endsWith(':') && wordsOf(text) <= MAX_LEAD_WORDS) {
      lead = DECIDES.test(text) ? text : ''
      isOpen = false
      continue
    }
    lead = ''
    // A heading decides the meaning of its list, and of the paragraph right after it; prose behind a list has its own meaning.
    blocks.push({ lead: isFirst ? leadOf(heading) : '', text })
    isOpen = true
    isFirst = false
  }
  return blocks
}

/** A line of capitals or bold without a sentence's end is a heading. */
function isTitle(line: string): boolean {
  const text = line.trim()
  if (BULLET.test(line) || wordsOf(text) > 8) return false
  if (/^(\*\*|__)[^*_]+\1:?$/.test(text)) return true
  const letters = text.replaceAll(/[^\p{L}]/gu, '')
  return letters.length >= 3 && letters === letters.toUpperCase() && letters !== letters.toLowerCase() && !/[.!?;,]$/.test(text)
}

function leadOf(heading: string): string {
  return heading !== '' && wordsOf(heading) <= 6 && DECIDES.test(heading) ? heading.replace(/:?$/, ':') : ''
}

/** A wrapped line goes on where the one before has no end, or where it starts in the middle of a sentence. */
function continues(before: string, text: string): boolean {
  return /^[\p{Ll}(,;]/u.test(text) || (!/[.!?:;)"”']$/.test(before) && before.length > 60)
}

function cellsOf(line: string): string[] {
  return line
    .trim()
    .replace(/^\||\|$/g, '')
    .split('|')
    .map((cell) => plain(cell))
}

/** A row as text: each cell after the name of its column. */
function rowOf(header: readonly string[], cells: readonly string[]): string {
  return cells
    .map((cell, index) => (cell === '' ? '' : index === 0 || (header[index] ?? '') === '' ? cell : `${header[index] ?? ''}: ${cell}`))
    .filter((part) => part !== '')
    .join(', ')
}

/** Without markup: emphasis, code, links, tags. */
function plain(text: string): string {
  return text
    .replaceAll(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replaceAll(/(\*\*|__|`)/g, '')
    .replaceAll(/<\/?[a-z][\w-]*>/gi, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim()
}

/** The sentences of a line or paragraph. */
function sentencesOf(text: string): string[] {
  const sentences: string[] = []
  let start = 0
  for (const { index, 0: end } of text.matchAll(/[.!?…]+["'”’)\]]*\s+(?=["'“‘([]*[^\p{Ll}\s])|[。！？]["”’」』]?/gu)) {
    const until = index + end.length
    const sentence = text.slice(start, until).trim()
    if (ABBREVIATIONS.test(sentence) || isNumber(sentence)) continue
    sentences.push(sentence)
    start = until
  }
  sentences.push(text.slice(start).trim())
  return withExceptions(sentences.filter((sentence) => sentence !== '')).flatMap(clausesOf)
}

/** "1." or "Section 4." is no sentence's end. */
function isNumber(sentence: string): boolean {
  return /^(?:\p{L}+\s)?\d{1,3}\.$/u.test(sentence)
}

/** Joins an exception to the sentence before it, and a label ("No advice.") to the one after it, or at the end to the one before. */
function withExceptions(sentences: readonly string[]): string[] {
  const joined: string[] = []
  for (const sentence of sentences) {
    const before = joined.at(-1)
    if (before !== undefined && (EXCEPTION.test(sentence) || wordsOf(before) < MIN_WORDS))
      joined[joined.length - 1] = `${before} ${sentence}`
    else joined.push(sentence)
  }
  const last = joined.at(-1)
  return last !== undefined && joined.length > 1 && wordsOf(last) < MIN_WORDS
    ? [...joined.slice(0, -2), joined.slice(-2).join(' ')]
    : joined
}

/** Clauses between semicolons of a long sentence; its label ("Returns:") goes with each. */
function clausesOf(sentence: string): string[] {
  if (wordsOf(sentence) < MIN_SPLIT_WORDS || !sentence.includes(';')) return [sentence]
  const [, label = '', rest = sentence] = /^((?:[^\s:;]+\s){0,2}[^\s:;]+:)\s+(.*)$/su.exec(sentence) ?? []
  const clauses: string[] = []
  // Not within parentheses.
  for (const part of rest.split(/;\s+(?![^()]*\))/)) {
    const before = clauses.at(-1)
    if (before !== undefined && (EXCEPTION.test(part) || wordsOf(part) < MIN_WORDS)) clauses[clauses.length - 1] = `${before}; ${part}`
    else clauses.push(part)
  }
  return clauses.map((clause) => clause.trim()).map((clause) => (label === '' ? clause : `${label} ${clause}`))
}

/** Words; of scripts without spaces, two letters count as one. */
function wordsOf(text: string): number {
  const dense = text.match(/[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]/gu)?.length ?? 0
  return Math.max(text.split(/\s+/).filter((word) => /[\p{L}\p{N}]/u.test(word)).length, Math.floor(dense / 2))
}
