// The report of `gabion monitor` in a real browser: the command line writes it from the examples, Chromium shows it.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import type { Browser } from 'playwright-core'
import { openBrowser, openPage } from './chromium.js'

const root = fileURLToPath(new URL('../..', import.meta.url))

describe('the report of the examples', () => {
  let folder = ''
  let browser: Browser
  const monitor = async (...args: string[]): Promise<void> => {
    await promisify(execFile)(process.execPath, ['dist/cli/main.js', 'monitor', '--detector', 'erosion', ...args], { cwd: root })
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gabion-browser-'))
    await monitor('examples/shop-refund-eroding.json', '--with-text', '--report', join(folder, 'one.html'))
    await monitor('examples/shop-refund-eroding.json', 'examples/bank-card-benign.json', '--report', join(folder, 'all.html'))
    browser = await openBrowser()
  })
  after(async () => {
    await browser.close()
    await rm(folder, { recursive: true, force: true })
  })

  for (const { name, width, height, theme } of [
    { name: 'a desk, light', width: 1280, height: 800, theme: 'light' },
    { name: 'a desk, dark', width: 1280, height: 800, theme: 'dark' },
    { name: 'a phone, dark', width: 360, height: 740, theme: 'dark' },
  ] as const) {
    test(`on ${name}: the first screen names the exchange, says why, and shows the words`, async () => {
      const { page, troubles } = await openPage(browser, { width, height, theme })
      await page.goto(pathToFileURL(join(folder, 'one.html')).href)
      const box = page.locator('.verdict.alert')
      const shown = await box.innerText()
      assert.match(shown, /Look at exchange 5 of 10/)
      assert.match(shown, /Why:/)
      assert.match(shown, /does not decline/)
      assert.match(shown, /I'm not really supposed to do this without the code/)
      const place = await box.boundingBox()
      assert.ok(place !== null && place.y + place.height <= height, 'the answer is on the first screen')
      assert.equal(await page.evaluate('document.documentElement.scrollWidth <= innerWidth'), true, 'nothing sticks out sideways')
      const paper = await page.evaluate<string>('getComputedStyle(document.body).backgroundColor')
      assert.equal(paper, theme === 'dark' ? 'rgb(20, 23, 27)' : 'rgb(255, 255, 255)')
      assert.deepEqual(troubles, [])
      await page.close()
    })
  }

  test('each width shows its own drawing of every panel, and the drawing has ink', async () => {
    for (const [width, shown, hidden] of [
      [1280, 'wide', 'narrow'],
      [360, 'narrow', 'wide'],
    ] as const) {
      const { page } = await openPage(browser, { width, height: 800 })
      await page.goto(pathToFileURL(join(folder, 'one.html')).href)
      const titles = await page.locator('figure h3').allInnerTexts()
      assert.deepEqual(titles.slice(0, 5), ['Likelihood and level', 'Drift', 'Acceleration', 'Cumulative', 'Reply and request'])
      for (const drawing of await page.locator(`.chart.${shown}`).all()) {
        assert.ok(await drawing.isVisible())
        assert.ok((await drawing.locator('path').count()) > 5)
      }
      for (const drawing of await page.locator(`.chart.${hidden}`).all()) assert.ok(await drawing.isHidden())
      const text = page.locator(`.chart.${shown} text`).first()
      const size = (await text.boundingBox())?.height ?? 0
      assert.ok(size >= 10, `labels can be read: ${String(size)} pixels high`)
      await page.close()
    }
  })

  test('the list leads to a conversation and back', async () => {
    const { page, troubles } = await openPage(browser, { width: 1280, height: 800 })
    await page.goto(pathToFileURL(join(folder, 'all.html')).href)
    assert.match(await page.locator('.verdict').innerText(), /1 of 2 conversations raised an alert/)
    await page.getByRole('link', { name: 'shop-refund-eroding' }).click()
    assert.match(await page.locator('h1').innerText(), /shop-refund-eroding/)
    assert.doesNotMatch(await page.locator('body').innerText(), /not really supposed/)
    await page.getByRole('link', { name: 'Details of exchange 5' }).click()
    assert.ok(await page.locator('#exchange-5').isVisible())
    await page.locator('#exchange-5 summary').click()
    assert.match(await page.locator('#exchange-5 table').innerText(), /contributions/)
    await page.getByRole('link', { name: 'All conversations of this run' }).click()
    assert.match(await page.locator('h1').innerText(), /2 conversations/)
    assert.deepEqual(troubles, [])
    await page.close()
  })
})
