// Short texts that are all different, so that no cache helps.

const WORDS =
  'order parcel refund account password address delivery invoice change please today late wrong missing help card bank open'.split(' ')

let next = 1

/** Words of mixed texts, in turns: most are short, few are long. */
const MIXED = [4, 8, 16, 8, 32, 8, 64, 120]

/** The next text: about ten words. */
export function freshText() {
  return textOf(8)
}

/** The next text of mixed lengths. */
export function mixedText() {
  return textOf(MIXED[next % MIXED.length])
}

function textOf(length) {
  let number = next++
  const words = []
  for (let i = 0; i < length; i++) {
    number = (number * 1_103_515_245 + 12_345) % 2_147_483_648
    words.push(WORDS[number % WORDS.length])
  }
  return `${words.join(' ')} ${next}`
}
