// What the browser tests have in common: named steps, waiting for a condition, pictures, and watching a page for what it must not do.
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { violations } from './browser.mjs';

/** Longer than anything takes that works, on a machine that has much else to do. */
export const PATIENCE_MS = 30_000;
const shots = process.env['SPORTELLO_SHOTS'];
if (shots) await mkdir(shots, { recursive: true });

/** What went wrong so far, a line each. */
export const problems = [];
let passed = 0;

/** One named step; a failure is noted and the next goes on. */
export async function test(name, body) {
  try {
    await body();
    passed += 1;
    console.log(`ok   ${name}`);
  } catch (error) {
    problems.push(`${name}: ${error.message}`);
    console.log(`FAIL ${name}\n     ${error.message.split('\n').slice(0, 12).join('\n     ')}`);
  }
}

/** Waits until something holds that no element shows. */
export async function until(what, condition) {
  const end = Date.now() + PATIENCE_MS;
  while (!(await condition())) {
    assert.ok(Date.now() < end, `in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** Notes errors of the page, breaches of its policy, and requests to anywhere that does not begin with one of `known`. */
export function watch(page, known) {
  page.on('pageerror', (error) => problems.push(`page error: ${error.message}`));
  page.on('console', (message) => {
    const text = message.text();
    if (message.type() === 'error' && /Content Security Policy|Uncaught|TypeError|Trusted/.test(text) && !/sandbox/i.test(text)) problems.push(`console: ${text}`);
  });
  page.on('request', (request) => { if (!known.some((start) => request.url().startsWith(start))) problems.push(`request outside: ${request.url()}`); });
}

/** Keeps a picture of the page, if SPORTELLO_SHOTS names a folder. */
export async function picture(page, name) {
  if (shots) await page.screenshot({ path: join(shots, `${name}.png`) });
}

/** How far the page itself scrolls sideways. */
export const sideways = (page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

/** The same for a page with the open chat, inside of it too. */
export const sidewaysInChat = (page) => page.evaluate(() => {
  const inside = [...document.querySelector('sportello-chat').shadowRoot.querySelectorAll('.panel, .body, .log, .bottom, .start')];
  return Math.max(document.documentElement.scrollWidth - document.documentElement.clientWidth, ...inside.map((each) => each.scrollWidth - each.clientWidth));
});

/** Looks at the page as it is: a picture, axe, sideways scrolling. */
export async function look(page, name, scrolled = sideways) {
  await picture(page, name);
  assert.deepEqual(await violations(page), [], `axe on ${name}`);
  const by = await scrolled(page);
  assert.ok(by <= 0, `${name} scrolls sideways by ${by}px`);
}

/** Says how it went; the exit code is 1 if anything went wrong. */
export function finish() {
  console.log(`${passed} passed, ${problems.length} problems`);
  for (const problem of problems) console.log(`- ${problem}`);
  process.exitCode = problems.length > 0 ? 1 : 0;
}
