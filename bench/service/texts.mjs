// Short texts that are all different, so that no cache helps.

const WORDS =
  'order parcel refund account password address delivery invoice change please today late wrong missing help card bank open'.split(' ')

let next = 1

/** The next text: about ten words. */
export function freshText() {
  let number = next++
  const words = []
  for (let i = 0; i < 8; i++) {
    number = (number * 1_103_515_245 + 12_345) % 2_147_483_648
    words.push(WORDS[number % WORDS.length])
  }
  return `${words.join(' ')} ${next}`
}
