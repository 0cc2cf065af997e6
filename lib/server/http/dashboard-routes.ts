// Serves the dashboard's page and what it loads: a few files that the build has made, read once. The page itself has no data.

import { join } from 'node:path'
import { readFileSync } from 'node:fs'
import type { FastifyInstance } from 'fastify'
import { packagePath } from '../../package-folder.js'

/** Files of the page by path, relative to the folder that the build writes. */
const FILES = [
  { url: '/', file: 'index.html', type: 'text/html; charset=utf-8' },
  { url: '/dashboard.js', file: 'dashboard.js', type: 'text/javascript; charset=utf-8' },
  { url: '/dashboard.css', file: 'dashboard.css', type: 'text/css; charset=utf-8' },
  { url: '/favicon.svg', file: 'favicon.svg', type: 'image/svg+xml' },
] as const

/** Where `scripts/build-dashboard.mjs` writes. */
const FOLDER = packagePath('dist', 'dashboard')

/** Only what lies here; styles by attribute are what the charts set. */
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
