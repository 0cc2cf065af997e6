// The dashboard in a real browser, in front of a real service: it shows what happens without being loaded again.

import assert from 'node:assert/strict'
import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { after, before, describe, it } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { parseTranscript } from '../../lib/index.js'
import type { RunningService } from '../../lib/server/serve.js'
import { KEY, post, startService } from '../service/service-under-test.js'
import { openBrowser } from './chromium.js'

const SCREENSHOTS = 'build/screenshots'
const AXE = createRequire(import.meta.url).resolve('axe-core')

interface AxeResults {
  violations: { id: string; nodes: { html: string }[] }[]
}

/** Violations of the accessibility rules, as text. */
async function violationsOf(page: Page): Promise<string[]> {
  // Given to the page by the debugger, since its own policy lets nothing foreign in.
  await page.evaluate(readFileSync(AXE, 'utf8'))
  const { violations } = await page.evaluate<AxeResults>('axe.run()')
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(' | ')}`)
}

describe('Dashboard', () => {
  let browser: Browser
  let running: RunningService
  before(async () => {
    mkdirSync(SCREENSHOTS, { recursive: true })
    browser = await openBrowser()
    running = await startService({ grpcPort: null })
  })
  after(async () => {
    await browser.close()
    await running.stop()
  })

  async function open(theme: 'light' | 'dark', width = 1280): Promise<{ page: Page; troubles: string[] }> {
    const page = await browser.newPage({ viewport: { width, height: 1000 }, colorScheme: theme })
    const troubles: string[] = []
    page.on('console', (message) => {
      if (message.type() === 'error') troubles.push(message.text())
    })
    page.on('pageerror', (error) => troubles.push(String(error)))
    page.on('request', (request) => {
      if (!request.url().startsWith(running.url)) troubles.push(`asks elsewhere: ${request.url()}`)
    })
    await page.goto(`${running.url}/`)
    await page.locator('#connection', { hasText: 'live' }).waitFor()
    return { page, troubles }
  }

  const [eroding] = parseTranscript(readFileSync('examples/shop-refund-eroding.json', 'utf8'), 'shop-refund-eroding.json')
  assert.ok(eroding)

  it('sees the alert of an eroding conversation appear without reload', async () => {
    const { page, troubles } = await open('light')
    await page.evaluate('window.sameDocument = true')
    assert.equal(await page.locator('#alert-list li').count(), 0)
    let alerts = 0
    for (const { user, assistant } of eroding.exchanges) {
      const { body } = await post<{ alert: boolean }>(`${running.url}/v1/conversations/shop/exchanges`, { user, assistant })
      alerts += Number(body.alert)
    }
    assert.ok(alerts > 0)
    await page.locator('#alert-list li').first().waitFor()
    assert.match((await page.locator('#alert-list li').first().textContent()) ?? '', /^shop, exchange \d+, likelihood/)
    await page
      .locator('#exchange-rows tr')
      .nth(eroding.exchanges.length - 1)
      .waitFor()
    assert.equal(await page.locator('#exchange-rows tr').count(), eroding.exchanges.length)
    assert.match(
      (await page.locator('#exchange-chart').getAttribute('aria-label')) ?? '',
      new RegExp(`over ${eroding.exchanges.length} exchanges of shop`),
    )
    assert.ok((await page.locator('#exchange-chart svg path').count()) > eroding.exchanges.length)
    await page.locator('#exchanges', { hasText: String(eroding.exchanges.length) }).waitFor()
    assert.equal(await page.evaluate('window.sameDocument'), true)
    await page.screenshot({ path: `${SCREENSHOTS}/dashboard-light.png`, fullPage: true })
    assert.deepEqual(troubles, [])
    await page.close()
  })

  it('keeps exchanges that overtake the answer with the earlier ones', async () => {
    const say = (conversation: string): Promise<unknown> =>
      post(`${running.url}/v1/conversations/${conversation}/exchanges`, { user: 'hello', assistant: 'hello there' })
    const { page, troubles } = await open('light')
    await say('overtaken')
    const answered = new Promise<() => Promise<void>>((resolve) => {
      void page.route('**/v1/conversations/overtaken', async (route) => {
        const response = await route.fetch()
        resolve(() => route.fulfill({ response }))
      })
    })
    await page.locator('#list button', { hasText: 'overtaken' }).click()
    const deliver = await answered
    await say('overtaken')
    await page.locator('#exchange-rows tr').first().waitFor()
    await deliver()
    await page.locator('#exchange-rows tr').nth(1).waitFor()
    await fetch(`${running.url}/v1/conversations/overtaken`, { method: 'DELETE' })
    await page.locator('#exchange-rows tr').first().waitFor({ state: 'detached' })
    assert.deepEqual(troubles, [])
    await page.close()
  })

  it('can be used with the keyboard alone', async () => {
    for (const id of ['one', 'two', 'three'])
      await post(`${running.url}/v1/conversations/${id}/exchanges`, { user: 'hello', assistant: 'hello there' })
    const { page, troubles } = await open('dark')
    await page.locator('#list button').nth(3).waitFor()
    await page.locator('#list button').first().focus()
    assert.equal(await page.evaluate('document.activeElement.dataset.id'), 'three')
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('Enter')
    await page.locator('#conversation-title', { hasText: 'Conversation one' }).waitFor()
    // Alerts from before the page was opened are there too.
    assert.match((await page.locator('#alert-list li').first().textContent()) ?? '', /^shop, first alert at exchange \d+$/)
    await page.keyboard.press('End')
    assert.equal(await page.evaluate('document.activeElement.dataset.id'), 'shop')
    await page.screenshot({ path: `${SCREENSHOTS}/dashboard-dark.png`, fullPage: true })
    assert.deepEqual(troubles, [])
    await page.close()
  })

  it('breaks no rule of accessibility, in light and in dark, wide and narrow', async () => {
    for (const [theme, width] of [
      ['light', 1280],
      ['dark', 1280],
      ['light', 400],
    ] as const) {
      const { page } = await open(theme, width)
      await page.locator('#exchange-rows tr').first().waitFor()
      assert.deepEqual(await violationsOf(page), [], `${theme}, ${width} pixels`)
      assert.equal(await page.evaluate('document.documentElement.scrollWidth <= innerWidth'), true, `${width} pixels are enough`)
      await page.screenshot({ path: `${SCREENSHOTS}/dashboard-${theme}-${width}.png`, fullPage: true })
      await page.close()
    }
  })

  it('shows what comes from outside as text', async () => {
    const id = '<img src=x onerror=alert(1)>'
    await post(`${running.url}/v1/conversations/${encodeURIComponent(id)}/exchanges`, { user: 'a', assistant: 'b' })
    const { page, troubles } = await open('light')
    await page.locator('#list .name', { hasText: '<img' }).waitFor()
    assert.equal(await page.locator('#list img').count(), 0)
    assert.deepEqual(troubles, [])
    await page.close()
  })

  it('comes with headers that let nothing else in', async () => {
    const { headers } = await fetch(`${running.url}/`)
    assert.match(headers.get('content-security-policy') ?? '', /default-src 'none'.*frame-ancestors 'none'/)
    assert.equal(headers.get('x-content-type-options'), 'nosniff')
  })

  it('asks for the key where there is one, and lives on after the service was away', async () => {
    const locked = await startService({ grpcPort: null, keyList: [KEY] })
    const page = await browser.newPage()
    await page.goto(`${locked.url}/`)
    await page.locator('#key-dialog[open]').waitFor()
    await page.locator('#key').fill(KEY)
    await page.keyboard.press('Enter')
    await page.locator('#connection', { hasText: 'live' }).waitFor()
    await locked.stop()
    await page.locator('#connection', { hasText: 'connection lost' }).waitFor()
    const again = await startService({ grpcPort: null, keyList: [KEY], port: locked.port })
    await page.locator('#connection', { hasText: 'live' }).waitFor()
    await post(`${again.url}/v1/conversations/after/exchanges`, { user: 'a', assistant: 'b' }, { authorization: `Bearer ${KEY}` })
    await page.locator('#list .name', { hasText: 'after' }).waitFor()
    await page.close()
    await again.stop()
  })
})
