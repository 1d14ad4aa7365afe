// What the browser stories against a real daemon have in common: people at browsers of their own, and going in step with the Rust
// test that starts the script. The script prints `== step`, the test writes a line to let it go on.
import { createInterface } from 'node:readline';
import { openBrowser } from './browser.mjs';
import { look, PATIENCE_MS, problems, watch } from './story.mjs';

export const desk = process.env['SPORTELLO_URL'] ?? '';
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const opened = [];

/** One named step; the first that fails ends the script and says what everybody saw. */
export async function step(name, body) {
  try {
    await body();
    console.log(`ok   ${name}`);
  } catch (error) {
    console.log(`FAIL ${name}\n     ${error.message.split('\n').slice(0, 12).join('\n     ')}`);
    for (const { page, who } of opened) console.log(`     ${who} sees: ${(await page.locator('body').innerText().catch(() => '')).replaceAll('\n', ' | ').slice(0, 1500)}`);
    for (const problem of problems) console.log(`- ${problem}`);
    await everybodyLeaves();
    process.exit(1);
  }
}

/** Tells the test how far the script is. */
export const reached = (name) => console.log(`== ${name}`);

/** Tells the test how far the script is, and waits until it says to go on. */
export async function pause(name) {
  reached(name);
  await lines.next();
}

/** The last step: no page had an error, breached its policy, or asked somewhere else. */
export async function finish() {
  await step('nothing went wrong on any page', () => {
    if (problems.length > 0) throw new Error('see below');
  });
  await everybodyLeaves();
  reached('done');
  process.exit(0);
}

async function everybodyLeaves() {
  for (const { close } of opened) await close();
}

/** Somebody at a browser of their own, with a page that may ask for nothing outside `known`. */
export async function arrive(who, known, options = {}) {
  const { context, close } = await openBrowser(options);
  context.setDefaultTimeout(PATIENCE_MS);
  const page = context.pages()[0] ?? (await context.newPage());
  opened.push({ page, close, who });
  watch(page, [...known, 'data:', 'blob:', 'ws:']);
  return page;
}

/** An operator at the console. */
export async function signIn(login) {
  const page = await arrive(login, [desk]);
  await page.goto(desk);
  await page.getByLabel('Nome utente').fill(login);
  await page.getByLabel('Password', { exact: true }).fill(process.env[`SPORTELLO_PASSWORD_${login.toUpperCase()}`] ?? '');
  if (login === 'anna') await look(page, 'whole-sign-in');
  await page.getByRole('button', { name: 'Accedi' }).click();
  await page.getByRole('link', { name: 'I miei contatti' }).waitFor();
  return page;
}

/** An operator who takes contacts from now on. */
export async function ready(login) {
  const page = await signIn(login);
  await page.getByRole('button', { name: 'Diventa disponibile' }).click();
  await page.locator('.presence-ready').waitFor();
  return page;
}
