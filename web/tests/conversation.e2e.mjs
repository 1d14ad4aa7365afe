// A citizen and operators at real browsers, against a real daemon: a chat from the demo page to its end, with the line cut and the
// daemon killed in the middle, and a text message answered by the composer. The Rust test beside it
// (tests/end_to_end/whole/conversation.rs) kills the daemon and plays the provider of text messages.
import assert from 'node:assert/strict';
import { arrive, finish, pause, ready, step } from './people.mjs';
import { look as lookAt, PATIENCE_MS, sidewaysInChat, until } from './story.mjs';

const house = process.env['SPORTELLO_PUBLIC_URL'] ?? '';
/** A daemon that was away is tried again after pauses of up to half a minute. */
const AFTER_A_FALL = { timeout: 2 * PATIENCE_MS };
const look = (page, name) => lookAt(page, `conversation-${name}`, page === rosa ? sidewaysInChat : undefined);

let anna, bruno, rosa;
const log = (page) => page.getByRole('log');
const times = (page, text) => log(page).getByText(text, { exact: true }).count();
const area = () => bruno.getByLabel('Testo della risposta');
/** Whoever wrote it and wherever it is looked at: it is there once. */
async function once(text, patience) {
  for (const page of [rosa, bruno]) {
    await log(page).getByText(text, { exact: true }).first().waitFor(patience);
    assert.equal(await times(page, text), 1, text);
  }
}
async function write(text) {
  await rosa.getByLabel('Il tuo messaggio').fill(text);
  await rosa.getByLabel('Il tuo messaggio').press('Enter');
}
/** Types until the other side shows it: what is said beside a chat may be lost. */
async function typeUntil(where, text, sign) {
  for (const letter of text) {
    await where.pressSequentially(letter);
    if (await sign.isVisible()) break;
    await sign.waitFor({ timeout: 4_000 }).catch(() => {});
  }
  await sign.waitFor();
}
async function answer(text) {
  await area().fill(text);
  await area().press('Enter');
}

await step('anna and bruno take contacts, the citizen opens the chat of the demo page', async () => {
  anna = await ready('anna');
  bruno = await ready('bruno');
  rosa = await arrive('rosa', [house], { viewport: { width: 1100, height: 760 } });
  await rosa.goto(`${house}/chat`);
  await rosa.getByRole('button', { name: 'Apri la chat' }).click();
  await rosa.getByText('Ti risponde una persona').waitFor();
  await look(rosa, 'start');
  await rosa.getByLabel('Nome e cognome').fill('Rosa Bruno');
  await rosa.getByLabel('Argomento').selectOption('tari');
  await rosa.getByLabel('Ho letto').check();
  await rosa.getByRole('button', { name: 'Inizia la conversazione' }).click();
  await rosa.getByText('Scrivi la tua domanda').waitFor();
  await write('Buongiorno, quanto pago di TARI?');
});
await step('it rings at the operator who knows taxes, and only there', async () => {
  await bruno.getByRole('heading', { name: 'Contatto in arrivo: Chat' }).waitFor();
  assert.equal(await anna.locator('.offer').count(), 0);
  await look(bruno, 'offer');
  await bruno.keyboard.press('F8');
  await log(bruno).getByText('Buongiorno, quanto pago di TARI?').waitFor();
  await rosa.getByText('Ti risponde Bruno Gruber.').waitFor();
  await log(rosa).getByText('Letto', { exact: true }).waitFor();
});
await step('both write, and each sees that the other has seen it', async () => {
  await typeUntil(area(), 'Buongiorno', rosa.getByText('Bruno Gruber sta scrivendo…'));
  await answer('Buongiorno, circa 120 euro.');
  await once('Buongiorno, circa 120 euro.');
  await log(bruno).getByText('Letto', { exact: true }).waitFor();
  await typeUntil(rosa.getByLabel('Il tuo messaggio'), 'Grazie', bruno.getByText('Rosa Bruno sta scrivendo…'));
  await look(rosa, 'citizen');
  await look(bruno, 'operator');
});
await step('the citizen\'s network is gone for a while', async () => {
  await rosa.context().setOffline(true);
  await rosa.getByText('Connessione assente.').waitFor();
  await write('Scritto senza rete');
  await answer('Scritto mentre lei era senza rete');
  await log(bruno).getByText('Scritto mentre lei era senza rete').waitFor();
  await look(rosa, 'offline');
  assert.equal(await times(bruno, 'Scritto senza rete'), 0);
  await rosa.context().setOffline(false);
  await once('Scritto senza rete');
  await once('Scritto mentre lei era senza rete');
  await log(rosa).getByText('In attesa di invio').waitFor({ state: 'detached' });
});
await pause('both wrote');
await step('the daemon is dead, both write on', async () => {
  await rosa.getByText('Connessione assente.').waitFor();
  await write('Scritto a servizio spento');
  await answer('Risposta a servizio spento');
  await log(rosa).getByText('In attesa di invio').waitFor();
});
await pause('both wrote to nobody');
await step('it is back: everything arrives, once', async () => {
  // What the console could not hand over after a few tries it keeps; the operator sends it again, and it is the same command.
  await until('the answer is out', async () => {
    if ((await times(bruno, 'Risposta a servizio spento')) > 0) return true;
    if ((await area().inputValue()) !== '') await area().press('Enter');
    return false;
  });
  await once('Risposta a servizio spento', AFTER_A_FALL);
  await once('Scritto a servizio spento', AFTER_A_FALL);
  await write('Grazie mille');
  await once('Grazie mille');
  await log(rosa).getByText('Letto', { exact: true }).last().waitFor();
});
await step('the operator closes, and the citizen sees it', async () => {
  await log(bruno).focus();
  await bruno.keyboard.press('x');
  const dialog = bruno.getByRole('dialog');
  await dialog.getByLabel('Perché ha scritto (facoltativo)').selectOption('tari');
  await dialog.getByRole('button', { name: 'Chiudi', exact: true }).click();
  await rosa.getByText('L’ufficio ha chiuso la conversazione.').waitFor();
  await bruno.locator('.contact', { hasText: 'Rosa Bruno' }).waitFor({ state: 'detached' });
  await look(rosa, 'over');
  await look(bruno, 'closed');
  assert.deepEqual(await rosa.evaluate(() => Object.keys(localStorage).filter((key) => key.startsWith('sportello.chat'))), [], 'nothing stays on a shared computer');
});
await pause('the chat is over');
await step('a text message is answered, its parts counted', async () => {
  await anna.locator('.contact', { hasText: '+39333' }).or(anna.locator('.contact', { hasText: '+39 333' })).click();
  await log(anna).getByText('quando ritiro la carta').waitFor();
  await anna.getByLabel('Testo della risposta').fill(`È pronta: la può ritirare ${'allo sportello, dalle 9 alle 12. '.repeat(2)}`);
  await anna.locator('.composer').getByText(/\b2 SMS/).waitFor();
  await look(anna, 'sms');
  await anna.getByRole('button', { name: 'Invia', exact: true }).click();
  await log(anna).getByText('la può ritirare').waitFor();
  await log(anna).getByText('Inviato', { exact: true }).waitFor();
});
await pause('the text message is answered');
await step('it arrives, and the contact is closed', async () => {
  await log(anna).getByText('Consegnato', { exact: true }).waitFor();
  await look(anna, 'sms-delivered');
  await log(anna).focus();
  await anna.keyboard.press('x');
  await anna.getByRole('dialog').getByRole('button', { name: 'Chiudi', exact: true }).click();
  await anna.getByText('Contatto chiuso.').first().waitFor();
});
await finish();
