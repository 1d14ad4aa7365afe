// Chromium for the end-to-end tests: the system's own, headless, with an empty profile that is thrown away.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

/** A browser context; `close` ends it and removes its profile. */
export async function openBrowser(options = {}) {
  const profile = await mkdtemp(join(tmpdir(), 'sportello-e2e-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium', headless: true, args: FLAGS, locale: 'it-IT', timezoneId: 'Europe/London',
    viewport: { width: 1440, height: 900 }, ...options,
  });
  return { context, close: async () => { await context.close(); await rm(profile, { recursive: true, force: true, maxRetries: 10 }); } };
}

/** What axe finds wrong on the page (WCAG 2.0–2.2 A and AA, and best practices). */
export async function violations(page) {
  const source = await readFile(AXE, 'utf8');
  // Through the debugger, so that the page's own policy stays as strict as it is.
  await page.evaluate(source);
  // What is still fading in has other colours than it will have. Countdowns and what turns for ever are not waited for.
  await page.evaluate(() => Promise.all(document.getAnimations().filter((each) => Number(each.effect?.getComputedTiming().endTime) <= 1000).map((each) => each.finished.catch(() => {}))));
  const result = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'], iframes: false }));
  return result.violations.map((violation) => `${violation.id}: ${violation.nodes.map((node) => `${node.target.join(' ')} [${node.any[0]?.message ?? node.failureSummary ?? ''}]`).slice(0, 4).join(' | ')}`);
}
