// A registry on this machine that serves gabion's own packages as they would be published and redirects to the real one for the rest.

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { basename } from 'node:path'
import { run } from '../setup/run.mjs'

/**
 * Serves tarballs as the only version of their packages.
 *
 * @param {string[]} tarballs files
 * @returns {Promise<{ url: string, close: () => void }>}
 */
export async function startRegistry(tarballs) {
  const upstream = (await run('npm', ['config', 'get', 'registry'])).trim().replace(/\/?$/, '/')
  const files = new Map(tarballs.map((file) => [basename(file), file]))
  const manifests = new Map()
  for (const file of tarballs) {
    const manifest = JSON.parse(await run('tar', ['-xzOf', file, 'package/package.json']))
    manifests.set(manifest.name, { manifest, file })
  }
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url, 'http://localhost').pathname.slice(1))
    // A package, or one of its versions: pnpm 12 asks for `gabion/latest`.
    const [, name, version] = /^(gabion[^/]*)(?:\/([^/]+))?$/.exec(path) ?? []
    const own = manifests.get(name)
    const file = files.get(basename(path))
    if (own !== undefined) {
      response.setHeader('content-type', 'application/json')
      const whole = packument(own, `http://127.0.0.1:${server.address().port}`)
      response.end(JSON.stringify(version === undefined ? whole : whole.versions[whole['dist-tags'][version] ?? version]))
    } else if (path.startsWith('tarballs/') && file !== undefined) {
      response.end(readFileSync(file))
    } else if (name !== undefined) {
      response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":"not found"}')
    } else {
      response.writeHead(302, { location: new URL(request.url.slice(1), upstream).href }).end()
    }
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() }
}

function packument({ manifest, file }, host) {
  const integrity = `sha512-${createHash('sha512').update(readFileSync(file)).digest('base64')}`
  const dist = {
    tarball: `${host}/tarballs/${basename(file)}`,
    integrity,
    shasum: createHash('sha1').update(readFileSync(file)).digest('hex'),
  }
  const { name, version } = manifest
  // Old enough for managers that wait before they take a new release.
  const time = Object.fromEntries(['created', 'modified', version].map((key) => [key, '2026-01-01T00:00:00.000Z']))
  return { name, time, 'dist-tags': { latest: version }, versions: { [version]: { ...manifest, dist } } }
}
