import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'

interface Spot {
  kind: string
  line: number
  text: string
}
interface RetiredName {
  entry: string
  term: string
}

const script = async (name: string): Promise<unknown> => import(new URL(`../../scripts/glossary/${name}.mjs`, import.meta.url).href)
const { glossaryTerms, retiredNames } = (await script('terms')) as {
  glossaryTerms: (page: string) => { term: string; replaces: string }[]
  retiredNames: (terms: { term: string; replaces: string }[]) => RetiredName[]
}
const { findRetired } = (await script('words')) as { findRetired: (spot: Spot, file: string, retired: RetiredName[]) => RetiredName[] }
const { spotsOf } = (await script('spots')) as { spotsOf: (file: string, read: () => string) => Spot[] }

const PAGE = `# Terms

- **exchange**: a message with its reply. Used in monitor. Replaces \`addTurn\`, \`turn\` (names; not
  lib/transcript).
- **attention weights**: softmax of scores. Replaces \`shares\` (in native/kernels).
- **license**: terms. Replaces \`license*\`.
- **MAX\\_**: limits. Replaces \`MOST_\`.
- **window**: replaces nothing.
`
const retired = retiredNames(glossaryTerms(PAGE))

function found(file: string, text: string): string[] {
  return spotsOf(file, () => text).flatMap((spot) =>
    findRetired(spot, file, retired).map(({ entry }) => `${spot.line} ${spot.kind} ${entry}`),
  )
}

describe('the check of the glossary', () => {
  it('reads terms, what they replace and the limits', () => {
    assert.deepEqual(
      retired.map(({ term, entry }) => [term, entry]),
      [
        ['exchange', 'addTurn'],
        ['exchange', 'turn'],
        ['attention weights', 'shares'],
        ['license', 'license*'],
        ['MAX_', 'MOST_'],
      ],
    )
    assert.throws(() => retiredNames([{ term: 'x', replaces: '`y` (where it suits)' }]), /cannot read the limits/)
  })

  it('finds retired words in declared names of TypeScript, in options, property names and messages', () => {
    assert.deepEqual(found('lib/a.ts', "import { turn } from 'turn'\nconst turnCount = turn()"), ['2 names turn'])
    assert.deepEqual(found('lib/a.ts', 'x({ addTurn: 1 })'), ['1 names addTurn', '1 names turn'])
    assert.deepEqual(found('lib/a.ts', "option('--by-turn <n>', 'your license is missing')"), ['1 names turn', '1 messages license*'])
    assert.deepEqual(found('lib/a.ts', 'const MOST_TEXTS = 1, mostTexts = 1, ALMOST_ = 1'), ['1 names MOST_'])
    assert.deepEqual(found('lib/a.ts', 'throw new Error(`the license of ${x}`)'), ['1 messages license*'])
    assert.deepEqual(found('lib/a.ts', '// a turn\nconst returned = overturn // license'), [])
  })

  it('finds them in C++ and Rust outside comments and strings', () => {
    assert.deepEqual(found('native/kernels/a.hpp', "// shares\nfloat shares = x; /* license */ char c = '\"'; int license_count;"), [
      '2 names shares',
      '2 names license*',
    ])
    assert.deepEqual(found('native/engine/a.hpp', 'float shares = 1;'), [])
    assert.deepEqual(found('native/tokenizer/a.rs', `fn a<'t>(x: &'t str) { let turns = r#"turn " turn"#; let turn = 'x'; }`), [
      '1 names turn',
    ])
  })

  it('finds them in file names and headings, and keeps to the paths of an entry', () => {
    assert.deepEqual(found('docs/licenses.md', '# One turn\n\ntext about a license\n\n## The license'), [
      '0 names license*',
      '5 headings license*',
    ])
    assert.deepEqual(found('lib/transcript.ts', 'const turn = 1'), [])
  })

  it('never retires a term of GLOSSARY.md itself', () => {
    const terms = glossaryTerms(readFileSync(new URL('../../GLOSSARY.md', import.meta.url), 'utf8'))
    assert.ok(terms.length >= 60, `${terms.length} terms`)
    const entries = retiredNames(terms)
    for (const { term } of terms) {
      const clashes = findRetired({ kind: 'names', line: 0, text: term.replace(/^MAX_.*/, '') }, '', entries)
      assert.deepEqual(clashes, [], term)
    }
  })
})
