#!/usr/bin/env node
// Compares identifiers, file names, option and property names, headings and messages with the names that GLOSSARY.md retires.
//
// usage: node scripts/check-glossary.mjs [--report] [--prose] [PATH…]
//   --report   print the findings and exit with 0
//   --prose    also list comments and the text of Markdown pages; these never fail
//   PATH       only files below these paths

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { isMain, reportFailure, root, StepFailed } from './setup/run.mjs'
import { glossaryTerms, retiredNames } from './glossary/terms.mjs'
import { spotsOf } from './glossary/spots.mjs'
import { findRetired } from './glossary/words.mjs'

/** Findings in the tracked files below `paths` (all files without any). */
export function checkGlossary({ paths = [], prose = false } = {}) {
  const retired = retiredNames(glossaryTerms(readFileSync(join(root, 'GLOSSARY.md'), 'utf8')))
  const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '-z', '--', ...paths], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 24,
  })
  return files
    .split('\0')
    .filter((file) => file !== '' && file !== 'GLOSSARY.md')
    .flatMap((file) => findingsOf(file, retired, prose))
}

function findingsOf(file, retired, prose) {
  const known = new Set()
  const findings = []
  for (const spot of spotsOf(file, () => readFileSync(join(root, file), 'utf8'), { prose })) {
    for (const name of findRetired(spot, file, retired)) {
      const key = `${spot.kind}\0${spot.text}\0${name.entry}`
      if (known.has(key)) continue
      known.add(key)
      findings.push({ file, ...spot, entry: name.entry, term: name.term })
    }
  }
  return findings
}

/** Findings grouped by file, one line per place with the name to use. */
export function describeFindings(findings) {
  const byFile = new Map()
  for (const finding of findings) byFile.set(finding.file, [...(byFile.get(finding.file) ?? []), finding])
  return [...byFile].flatMap(([file, found]) => [
    file,
    ...found.map(({ line, kind, text, entry, term }) => {
      const shown = text.length > 90 ? `${text.slice(0, 87)}…` : text
      return `  ${line}: ${kind} ${shown.replaceAll(/\s+/g, ' ')} — "${entry}" is retired: ${term}`
    }),
  ])
}

if (isMain(import.meta.url)) {
  try {
    const { values, positionals } = parseArgs({
      options: { report: { type: 'boolean', default: false }, prose: { type: 'boolean', default: false } },
      allowPositionals: true,
    })
    const findings = checkGlossary({ paths: positionals, prose: values.prose })
    for (const line of describeFindings(findings)) console.log(line)
    const failing = findings.filter(({ kind }) => kind !== 'prose')
    const summary = `glossary: ${failing.length} retired names${values.prose ? `, ${findings.length - failing.length} in prose` : ''}`
    if (failing.length > 0 && !values.report) throw new StepFailed(summary)
    console.log(summary)
  } catch (error) {
    reportFailure(error)
  }
}
