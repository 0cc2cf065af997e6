// Starts the Chromium that the set-up found, for tests that look at pages.

import { chromium, type Browser, type Page } from 'playwright-core'
import { atEnd } from '../service/ending.js'

/** Opens the browser; the test runner says where it is. */
export async function openBrowser(): Promise<Browser> {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] })
  atEnd(() => browser.close())
  return browser
}

/** A page that keeps what went wrong in it and what it tried to load. */
export async function openPage(
  browser: Browser,
  view: { width: number; height: number; theme?: 'light' | 'dark' },
): Promise<{ page: Page; troubles: string[] }> {
  const { width, height, theme = 'light' } = view
  const page = await browser.newPage({ viewport: { width, height }, colorScheme: theme })
  const troubles: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error') troubles.push(message.text())
  })
  page.on('pageerror', (error) => troubles.push(String(error)))
  page.on('request', (request) => {
    if (!request.isNavigationRequest()) troubles.push(`loads ${request.url()}`)
  })
  return { page, troubles }
}
