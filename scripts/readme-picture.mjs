#!/usr/bin/env node
// Draws what `gabion monitor` prints in a terminal for the eroding example as docs/monitor.svg, the README's picture.
//
// usage: node scripts/readme-picture.mjs [FILE]     after `npm run build:ts`; FILE is written instead of docs/monitor.svg

import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { root } from './setup/run.mjs'

const ARGUMENTS = ['--system', 'examples/shop-system-prompt.md', 'examples/shop-refund-eroding.json']
/** Size of a character cell, and the room around the text, in pixels. */
const [CELL_WIDTH, CELL_HEIGHT, MARGIN] = [8, 18, 14]
const [BACKGROUND, FOREGROUND] = ['#10151c', '#d7dee8']
const COLORS = { 31: '#ff7b72', 32: '#56d364', 33: '#e3b341' }

// Colors and weights are sequences of ESC [ number m.
const SEQUENCE = new RegExp(`(${String.fromCharCode(27)}\\[\\d+m)`)

/** The runs of a line that look alike: where each begins, its text and its style. */
function runsOf(line, style) {
  const runs = []
  let column = 0
  for (const part of line.split(SEQUENCE)) {
    const code = SEQUENCE.test(part) ? part.slice(2, -1) : undefined
    if (code === undefined) {
      // A run ends where two spaces are: what is set in columns must not depend on the width of a viewer's font.
      for (const piece of part.split(/(\s{2,}|^\s)/)) {
        if (piece.trim() !== '' || (style.inverse && piece !== '')) runs.push({ column, text: piece, ...style })
        column += [...piece].length
      }
    } else if (code === '1') style.bold = true
    else if (code === '2') style.dim = true
    else if (code === '22') style.bold = style.dim = false
    else if (code === '7' || code === '27') style.inverse = code === '7'
    else style.color = COLORS[code] ?? FOREGROUND
  }
  return runs
}

function drawn({ column, text, color, bold, dim, inverse }, row) {
  const [x, y, width] = [MARGIN + column * CELL_WIDTH, MARGIN + row * CELL_HEIGHT, [...text].length * CELL_WIDTH]
  const escaped = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  const look = `fill="${inverse ? BACKGROUND : color}"${bold ? ' font-weight="bold"' : ''}${dim ? ' opacity="0.6"' : ''}`
  const block = inverse ? `<rect x="${x}" y="${y + 2}" width="${width}" height="${CELL_HEIGHT - 2}" fill="${color}"/>` : ''
  return `${block}<text x="${x}" y="${y + 14}" textLength="${width}" ${look}>${escaped}</text>`
}

const command = [join(root, 'dist/cli/main.js'), 'monitor', ...ARGUMENTS]
const env = { ...process.env, FORCE_COLOR: '1', NO_COLOR: '' }
const printed = execFileSync(process.execPath, command, { cwd: root, env, encoding: 'utf8' })
// The last paragraph's times differ from run to run.
const lines = [`$ gabion monitor ${ARGUMENTS.join(' ')}`, ...printed.slice(0, printed.lastIndexOf('\x1b[1mTime')).trimEnd().split('\n')]

const style = { color: FOREGROUND, bold: false, dim: false, inverse: false }
const texts = lines.flatMap((line, row) => runsOf(line, style).map((run) => drawn(run, row)))
const columns = Math.max(...lines.map((line) => [...stripVTControlCharacters(line)].length))
const [width, height] = [2 * MARGIN + columns * CELL_WIDTH, 2 * MARGIN + lines.length * CELL_HEIGHT]
const svg = [
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img"`,
  ` font-family="'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="13" xml:space="preserve">`,
  `<title>gabion monitor: a table of a conversation's exchanges, with an alert</title>`,
  `<rect width="${width}" height="${height}" rx="8" fill="${BACKGROUND}"/>`,
  ...texts,
  '</svg>\n',
].join('\n')
const file = process.argv[2] ?? join(root, 'docs', 'monitor.svg')
writeFileSync(file, svg)
console.log(`${file}: ${lines.length} lines, ${(svg.length / 1024).toFixed(1)} kB`)
