// Writing and acting while something else happens: contacts that go away or are opened meanwhile, files that do not arrive, dialogs and
// offers that come together, keys that were meant for a field. With a desk and a browser of its own.
import assert from 'node:assert/strict';
import { atOwnDesk, ct, holds, log, onItsWay, open, painted, reply, ring, sent } from './console-page.mjs';
import { look, test, until } from './story.mjs';

const FILE = { name: 'modulo.pdf', mimeType: 'application/pdf', buffer: Buffer.alloc(14_200) };
const dialog = (page) => page.getByRole('dialog');
const hasFocus = (what, locator) => until(`the focus is on ${what}`, () => locator.evaluate((element) => element === document.activeElement));
const said = (page, role, text) => until(`"${text}" is spoken`, async () => (await page.locator(role).allTextContents()).some((each) => each.includes(text)));
const send = (page, name = 'Invia') => page.locator('.composer').getByRole('button', { name, exact: true });

/** A key that nothing has the focus for, at the time that `at` says on the page's clock. */
const keyAt = (page, key, at) => page.evaluate(([pressed, time]) => {
  window.shift += time - performance.now();
  document.body.dispatchEvent(new KeyboardEvent('keydown', { key: pressed, bubbles: true }));
}, [key, at]);

export const composing = () => atOwnDesk([elsewhere, files, chats, dialogs, keys], ['clipboard-read', 'clipboard-write']);

async function elsewhere(page, mock) {
  await test('an answer that arrives when another contact is open asks nothing of that one', async () => {
    await open(page, mock, 1);
    const held = mock.hold('POST', '/reply');
    await reply(page).fill('Gentile signora, va bene.');
    await send(page, 'Invia e chiudi').click();
    await until('it is on its way', () => held.answered);
    await open(page, mock, 2);
    held.release();
    await page.getByText('Risposta affidata all\'invio.').first().waitFor();
    await painted(page);
    assert.equal(await dialog(page).count(), 0);
  });
  await test('a dialog says whom it is about', async () => {
    await reply(page).fill('Può venire giovedì.');
    await send(page, 'Invia e attendi').click();
    await dialog(page).getByText('Paolo Esposito').waitFor();
    await dialog(page).getByText('Carta d’identità elettronica').waitFor();
    await look(page, 'dialog-about');
    await page.keyboard.press('Escape');
  });
  await test('who takes an offer can write at once, and hears it', async () => {
    ring(mock, 8);
    await page.locator('.offer').waitFor();
    await page.locator('.offer').getByRole('button', { name: 'Accetta' }).click();
    await page.waitForURL(`**/#/contact/${ct(8)}`);
    await hasFocus('the writing', reply(page));
    await said(page, '[aria-live="polite"]', 'Contatto accettato');
  });
}

async function files(page, mock) {
  const file = page.locator('.composer .file', { hasText: 'modulo.pdf' });
  await test('a letter does not go without the file that was meant to go with it', async () => {
    await open(page, mock, 8);
    await reply(page).fill('In allegato il modulo.');
    mock.fail('POST', '/attachments', 1);
    await page.locator('input[type=file]').setInputFiles(FILE);
    await file.getByText('In questo momento il server non riceve file').waitFor();
    await said(page, '[role="alert"]', 'Il file modulo.pdf non è stato caricato.');
    for (const name of ['Invia', 'Invia e chiudi', 'Invia e attendi']) assert.ok(await send(page, name).isDisabled(), name);
    await page.getByText('riprova o toglilo, poi invia').waitFor();
    await look(page, 'file-failed');
    await file.getByRole('button', { name: 'Riprova a caricare modulo.pdf' }).click();
    await file.locator('.file-problem').waitFor({ state: 'detached' });
    await until('it can be sent', () => send(page).isEnabled());
    await send(page).press('Enter');
    await file.waitFor({ state: 'detached' });
    await hasFocus('the writing', reply(page));
    assert.equal(sent(mock, '/reply').at(-1).body.attachments.length, 1);
  });
  await test('a file whose upload a reload has cut off is still there, to be attached again', async () => {
    await reply(page).fill('Ancora un modulo.');
    const held = mock.hold('POST', '/attachments');
    await page.locator('input[type=file]').setInputFiles(FILE);
    await until('it is on its way', () => held.answered);
    await page.reload();
    await file.getByText('Da allegare di nuovo.').waitFor();
    held.release();
    assert.ok(await send(page).isDisabled());
    await file.getByRole('button', { name: 'Togli modulo.pdf' }).click();
    await until('it can be sent', () => send(page).isEnabled());
    await reply(page).fill('');
  });
}

async function chats(page, mock) {
  const texts = () => sent(mock, '/reply').map((each) => each.body.text);
  await test('Enter while a message is on its way sends the next one after it', async () => {
    await open(page, mock, 16);
    const held = await onItsWay(page, mock, 'Prima');
    await reply(page).press('Enter');
    assert.equal(await reply(page).inputValue(), 'Prima');
    await reply(page).pressSequentially(' e seconda');
    await reply(page).press('Enter');
    await page.getByText('Parte appena il messaggio precedente').waitFor();
    await reply(page).pressSequentially('terza');
    held.release();
    await holds(reply(page), 'terza');
    assert.deepEqual(texts().slice(-2), ['Prima', 'e seconda']);
    await reply(page).fill('');
  });
  await test('new words that end as the message on its way stay whole', async () => {
    const held = await onItsWay(page, mock, 'sì');
    await reply(page).fill('Certo, sì');
    held.release();
    await log(page).getByText('sì', { exact: true }).waitFor();
    await until('the answer is there', async () => (await send(page).innerText()).trim() === 'Invia');
    assert.equal(await reply(page).inputValue(), 'Certo, sì');
    await reply(page).fill('');
  });
  await test('new words that begin as the message on its way go whole', async () => {
    const held = await onItsWay(page, mock, 'Va');
    await reply(page).press('Control+a');
    await reply(page).pressSequentially('Va bene');
    await reply(page).press('Enter');
    held.release();
    await holds(reply(page), '');
    assert.deepEqual(texts().slice(-2), ['Va', 'Va bene']);
  });
  await test('who left a chat is answered by a letter', async () => {
    const contact = mock.find(ct(16));
    Object.assign(contact, { mode: 'deferrable', version: contact.version + 1 });
    mock.push({ event: 'contact.deferrable' }, contact);
    await page.getByText('La chat è conclusa: la risposta parte per email').waitFor();
    await holds(page.getByLabel('Oggetto'), 'Re: Chat dal sito: mensa scolastica');
    await reply(page).fill('Gentile signore,');
    await reply(page).press('Enter');
    await reply(page).pressSequentially('a novembre paga il Comune.');
    await look(page, 'after-chat');
    await reply(page).press('Control+Enter');
    await holds(reply(page), '');
    assert.equal(texts().at(-1), 'Gentile signore,\na novembre paga il Comune.');
    Object.assign(contact, { mode: 'live', version: contact.version + 1 });
    mock.push({ event: 'contact.case' }, contact);
    await page.getByText('La chat è conclusa').waitFor({ state: 'detached' });
  });
}

async function dialogs(page, mock) {
  await test('a command of a dialog is one command, though its button is pressed again', async () => {
    await open(page, mock, 3);
    await page.getByRole('button', { name: 'Trasferisci' }).click();
    await dialog(page).getByRole('combobox', { name: 'Coda' }).selectOption('tributi');
    await dialog(page).getByLabel('Motivo').selectOption('wrong_queue');
    await dialog(page).getByLabel('Nota per chi lo riceve').fill('Serve la visura.');
    mock.fail('POST', '/transfer', 4);
    const submit = dialog(page).getByRole('button', { name: 'Trasferisci' });
    await submit.press('Enter');
    await hasFocus('the busy button', dialog(page).getByRole('button', { name: 'Attendi' }));
    await dialog(page).getByText('momentaneamente fermo').waitFor();
    await submit.click();
    await dialog(page).waitFor({ state: 'detached' });
    for (const end of ['/notes', '/transfer']) assert.equal(new Set(sent(mock, end).map((each) => each.key)).size, 1, end);
    assert.equal(mock.world.entries.filter((entry) => entry.text === 'Serve la visura.').length, 1);
    await hasFocus('the heading', page.locator('.bar h1'));
  });
  await test('the answer to one dialog does not close another', async () => {
    await open(page, mock, 2);
    const held = mock.hold('POST', '/close');
    await page.locator('.bar').getByRole('button', { name: 'Chiudi' }).click();
    await dialog(page).getByRole('button', { name: 'Chiudi', exact: true }).click();
    await until('it is on its way', () => held.answered);
    await page.keyboard.press('Escape');
    await open(page, mock, 8);
    await page.locator('.bar').getByRole('button', { name: 'Rinvia' }).click();
    held.release();
    await page.locator('.notice', { hasText: 'Contatto chiuso.' }).waitFor();
    await painted(page);
    assert.equal(await dialog(page).getByText('Maria Gallo').count(), 1);
  });
  await test('F9 leads from a dialog to the reasons', async () => {
    ring(mock, 9);
    await page.locator('.offer').waitFor();
    await page.keyboard.press('F9');
    await hasFocus('the first reason', page.getByRole('button', { name: 'Sono occupato' }));
    await page.keyboard.press('Enter');
    await page.locator('.offer').waitFor({ state: 'detached' });
  });
  await test('F8 leads from a dialog to the writing', async () => {
    await page.locator('.bar').getByRole('button', { name: 'Rinvia' }).click();
    ring(mock, 15);
    await page.locator('.offer').waitFor();
    await page.keyboard.press('F8');
    await page.waitForURL(`**/#/contact/${ct(15)}`);
    await hasFocus('the writing', reply(page));
  });
}

async function keys(page, mock) {
  const now = () => page.evaluate(() => performance.now());
  /** Later than anybody who types would go on. */
  const press = async (key) => keyAt(page, key, (await now()) + 3_000);
  await test('letters do what the buttons of the contact do, and nothing else', async () => {
    await open(page, mock, 16);
    await page.getByRole('button', { name: 'Completa dopo' }).waitFor();
    await press('d');
    await painted(page);
    assert.equal(await dialog(page).count(), 0, 'a live chat is not put off');
    await press('w');
    await dialog(page).getByText('Bruno Leone').waitFor();
    await page.keyboard.press('Escape');
    await open(page, mock, 5);
    await page.getByRole('button', { name: 'Riprendi' }).waitFor();
    await press('e');
    await page.locator('.bar').getByText('In lavorazione').waitFor();
    await hasFocus('the heading', page.locator('.bar h1'));
  });
  await test('what is typed on when the contact goes away is no shortcut, and the draft can be copied', async () => {
    await open(page, mock, 1);
    await reply(page).pressSequentially('Gentile');
    const typed = await now();
    const contact = mock.find(ct(1));
    Object.assign(contact, { owner: 'op_3', owner_name: 'Marco Verdi', version: contact.version + 1 });
    mock.push({ event: 'contact.assigned', operator: 'op_3', reason: 'supervisor' }, contact);
    const kept = page.getByRole('textbox', { name: 'Bozza della risposta, non inviata' });
    await kept.waitFor();
    assert.equal(await kept.inputValue(), 'Gentile');
    await look(page, 'kept-draft');
    await keyAt(page, 'm', typed + 500);
    await keyAt(page, '2', typed + 1_500);
    await painted(page);
    assert.match(page.url(), new RegExp(ct(1)));
    const sound = page.getByRole('button', { name: 'Silenzia i suoni' });
    assert.equal(await sound.getAttribute('aria-pressed'), 'false');
    await press('m');
    await page.locator('.notice', { hasText: 'Suoni disattivati.' }).waitFor();
    assert.equal(await sound.getAttribute('aria-pressed'), 'true');
    await page.getByRole('button', { name: 'Copia' }).click();
    await until('it is copied', async () => (await page.evaluate(() => navigator.clipboard.readText())) === 'Gentile');
    await page.getByRole('button', { name: 'Elimina' }).click();
    await kept.waitFor({ state: 'detached' });
    assert.equal(await page.evaluate((id) => Object.keys(localStorage).filter((key) => key.includes(id)).length, ct(1)), 0);
  });
  await test('messages say their language', async () => {
    assert.equal(await log(page).locator('.plain').last().getAttribute('lang'), 'it');
  });
}
