// Serves the dashboard's static files from the build, read once. They contain no conversation data.

import { join } from 'node:path'
import { readFileSync } from 'node:fs'
import type { FastifyInstance } from 'fastify'
import { packagePath } from '../../package-folder.js'

/** The page's files, relative to the build's output folder. */
const FILES = [
  { url: '/', file: 'index.html', type: 'text/html; charset=utf-8' },
  { url: '/dashboard.js', file: 'dashboard.js', type: 'text/javascript; charset=utf-8' },
  { url: '/dashboard.css', file: 'dashboard.css', type: 'text/css; charset=utf-8' },
  { url: '/favicon.svg', file: 'favicon.svg', type: 'image/svg+xml' },
] as const

/** Output folder of `scripts/build-dashboard.mjs`. */
const FOLDER = packagePath('dist', 'dashboard')

/** Same origin only; the charts set style attributes. */
const CONTENT_SECURITY_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; connect-src 'self'; img-src 'self' data:; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** Adds the routes. */
export function addDashboard(app: FastifyInstance): void {
  for (const { url, file, type } of FILES) {
    const content = readFileSync(join(FOLDER, file))
    app.get(url, { config: { open: true }, schema: { hide: true } }, (_, reply) =>
      reply
        .headers({ 'content-security-policy': CONTENT_SECURITY_POLICY, 'x-frame-options': 'DENY', 'cache-control': 'no-cache' })
        .type(type)
        .send(content),
    )
  }
}
