// A console under test with a desk and a browser of its own, and what the tests do there again and again.
import { openBrowser } from './browser.mjs';
import { startMock } from './mock-server.mjs';
import { PATIENCE_MS, until, watch } from './story.mjs';

export const id = (prefix, number) => `${prefix}_${number.toString(16).padStart(32, '0')}`;
export const ct = (number) => id('ct', number);
export const cv = (number) => id('cv', number);
export const OP = id('op', 1);

/** The page's clocks can be set: `skew` is what somebody did to the computer's, `shift` is time that passes for all. */
function settableClocks() {
  const [wall, steady] = [Date.now.bind(Date), performance.now.bind(performance)];
  window.skew = window.shift = 0;
  Date.now = () => wall() + window.skew + window.shift;
  performance.now = () => steady() + window.shift;
}

/** The parts of a story, one after the other, of who is signed in as `op` at a desk of their own. */
export async function atOwnDesk(parts, permissions = []) {
  const mock = await startMock();
  const { context, close } = await openBrowser();
  context.setDefaultTimeout(PATIENCE_MS);
  await context.grantPermissions(permissions);
  await context.addInitScript(settableClocks);
  const page = context.pages()[0] ?? (await context.newPage());
  watch(page, [mock.url, 'data:', 'ws']);
  await signIn(page, mock, 'op');
  for (const part of parts) await part(page, mock);
  await close();
  await mock.stop();
}

export async function handIn(page, login) {
  await page.getByLabel('Nome utente').fill(login);
  await page.getByLabel('Password', { exact: true }).fill('password');
  await page.getByRole('button', { name: 'Accedi' }).click();
}
export async function signIn(page, mock, login) {
  if (!page.url().startsWith(mock.url)) await page.goto(mock.url);
  await handIn(page, login);
  await page.getByRole('link', { name: 'I miei contatti' }).waitFor();
}
export async function open(page, mock, number) {
  await page.goto(`${mock.url}/#/contact/${ct(number)}`);
  await page.locator('.conversation .thread').waitFor();
}
export const reply = (page) => page.getByLabel('Testo della risposta');
export const log = (page) => page.getByRole('log');
export const sent = (mock, end) => mock.log.filter((each) => each.method === 'POST' && each.path.endsWith(end));
export const holds = (locator, value) => until(`the field holds "${value}"`, async () => (await locator.inputValue()) === value);
export const painted = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
export function ring(mock, number) {
  mock.push({ event: 'offer.made', ordinal: mock.world.seq, operator: OP, deadline: new Date(Date.now() + 120_000).toISOString() }, mock.find(ct(number)));
}

/** Types and sends words that are on their way then; who holds them. */
export async function onItsWay(page, mock, words) {
  const held = mock.hold('POST', '/reply');
  await reply(page).pressSequentially(words);
  await reply(page).press('Enter');
  await until('it is on its way', () => held.answered);
  return held;
}
