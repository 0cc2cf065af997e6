// Owns the two refusal features of the guard, as it was trained with them (`lab/guard/segments.py` has the same phrases).
// Knows text only.

/** Characters at the start of a reply that count as its opening. */
const OPENING = 220

const PHRASES = [
  "i'?m sorry",
  'i am sorry',
  'sorry,? (?:but )?i',
  'i apologi[sz]e',
  "i can'?t",
  'i cannot',
  'i can not',
  "i won'?t",
  'i will not',
  "i'?m not able",
  'i am not able',
  "i'?m unable",
  'i am unable',
  'unable to (?:assist|help|provide|fulfil)',
  'i must (?:decline|refuse)',
  'i (?:have to|need to) decline',
  'not (?:appropriate|comfortable)',
  'against my',
  'as an ai',
  'i do not (?:feel|condone|support|encourage)',
  "i don'?t (?:feel comfortable|condone|support|encourage)",
  "can'?t (?:assist|help|provide|fulfil)",
  'cannot (?:assist|help|provide|fulfil)',
  'it is (?:illegal|unethical|not ethical)',
  'illegal and unethical',
  'not able to (?:assist|help|provide)',
]

/** At word boundaries, where letters and digits of any script count as parts of words, as in Python. */
const REFUSAL = new RegExp(`(?<![\\p{L}\\p{N}_])(?:${PHRASES.join('|')})(?![\\p{L}\\p{N}_])`, 'iu')

/** 1 for a refusal phrase in the first 220 characters, 1 for one anywhere; else 0. */
export function refusalFeatures(reply: string): readonly [opening: number, anywhere: number] {
  const text = reply.replaceAll('\u2019', "'")
  if (!REFUSAL.test(text)) return [0, 0]
  // Characters are counted as code points; at most twice as many units hold them.
  const opening = Array.from(text.slice(0, 2 * OPENING))
    .slice(0, OPENING)
    .join('')
  return [Number(REFUSAL.test(opening)), 1]
}
