// A page of documentation from results.

import { machineLines, targetLine } from './terminal.mjs'

const row = (cells) => `| ${cells.map((cell) => String(cell).replaceAll('|', '\\|')).join(' | ')} |`

function tableLines({ title, head, rows }) {
  return [`**${title}**`, '', row(head), row(head.map((_, column) => (column === 0 ? '---' : '--:'))), ...rows.map(row), '']
}

/**
 * @param {{ machine: object, benches: Record<string, object> }} results
 * @param {string} name of the page
 * @param {string} command that makes it
 * @returns {string} the whole page
 */
export function resultsPage({ machine, benches }, name, command) {
  const lines = [
    `# ${name}`,
    '',
    `Made by \`${command}\`; do not edit. Everything was measured in one run on one machine, the implementations interleaved.`,
    '',
    ...machineLines(machine).map((line) => `- ${line}`),
    '',
  ]
  for (const { title, question, tables, notes, targets, seconds, otherProcesses } of Object.values(benches)) {
    if (title !== name) lines.push(`## ${title}`, '')
    lines.push(question, '')
    for (const table of tables) lines.push(...tableLines(table))
    for (const note of notes) lines.push(`- ${note}`)
    lines.push(`- Measured in ${seconds.toFixed(0)} s, while other processes kept ${otherProcesses.toFixed(2)} processors busy.`, '')
    for (const target of targets) lines.push(`- ${target.met ? '✓' : '✗'} ${targetLine(target)}`)
    if (targets.length > 0) lines.push('')
  }
  return `${lines.join('\n').trimEnd()}\n`
}
