// What the console does when something goes wrong: answers that fail, are late or come in another order, lines that are dead, clocks
// that are set, and people who take each other's place. With a desk and a browser of its own.
import assert from 'node:assert/strict';
import { atOwnDesk, ct, cv, handIn, holds, id, log, onItsWay, OP, open, painted, reply, ring, sent, signIn } from './console-page.mjs';
import { look, test, until } from './story.mjs';

export const faults = () => atOwnDesk([writing, reading, line, offers, news, presence, people]);

/** What a screen reader is told, though nobody sees it. */
const spoken = (page, text) => page.locator('[aria-live], [role=alert]').filter({ hasText: text }).first();
const notice = (page, text) => page.locator('.notice', { hasText: text });
const unread = (page, name) => page.locator('.contact-unread', { hasText: name });

/** A citizen writes; who is on the line hears of it. */
function write(mock, number, text) {
  const contact = mock.find(ct(number));
  const before = mock.world.entries.find((entry) => entry.contact === contact.id && entry.direction === 'inbound');
  const at = new Date().toISOString();
  const message = { ...before, id: `ms_${Math.random().toString(16).slice(2).padEnd(32, '0')}`, text, at, filed_at: at, attachments: [], has_html: false };
  mock.world.entries.push(message);
  contact.version += 1;
  return mock.push({ event: 'message.received', message: message.id, operator: contact.owner }, contact);
}
async function writing(page, mock) {
  await test('what is typed while a message is on its way stays, and goes by itself', async () => {
    await open(page, mock, 16);
    const held = await onItsWay(page, mock, 'Prima');
    await reply(page).pressSequentially(' e poi');
    held.release();
    await holds(reply(page), 'e poi');
    await reply(page).press('Enter');
    await holds(reply(page), '');
    assert.deepEqual(sent(mock, '/reply').map((each) => each.body.text), ['Prima', 'e poi']);
  });
  await test('a message of unknown end goes again under its id, though one typed on', async () => {
    const before = sent(mock, '/reply').length;
    mock.fail('POST', '/reply', 4);
    await reply(page).pressSequentially('Una volta sola');
    await reply(page).press('Enter');
    await until('it is on its way', () => sent(mock, '/reply').length > before);
    await reply(page).pressSequentially(', poi il resto');
    await page.locator('.notice-danger').waitFor();
    await page.reload();
    await holds(reply(page), 'Una volta sola, poi il resto');
    await reply(page).press('Enter');
    await holds(reply(page), ', poi il resto');
    const attempts = sent(mock, '/reply').slice(before);
    assert.equal(attempts.length, 5);
    assert.equal(new Set(attempts.map((each) => each.key)).size, 1);
    assert.deepEqual(new Set(attempts.map((each) => each.body.text)), new Set(['Una volta sola']));
    await page.getByText('quello che hai aggiunto dopo è ancora qui').first().waitFor();
    await reply(page).fill('');
  });
  await test('what is typed while a note is on its way stays', async () => {
    await page.getByRole('button', { name: 'Nota interna' }).click();
    const note = page.getByLabel('Testo della nota');
    const held = mock.hold('POST', '/notes');
    await note.pressSequentially('Sentito Marco.');
    await note.press('Control+Enter');
    await until('it is on its way', () => held.answered);
    await note.pressSequentially(' Richiama lui.');
    held.release();
    await holds(note, 'Richiama lui.');
    await note.fill('');
  });
  await test('a file that arrives after the form was left is in the form, and the newer words too', async () => {
    await open(page, mock, 1);
    await reply(page).fill('Vecchio testo');
    const held = mock.hold('POST', '/attachments');
    await page.locator('input[type=file]').setInputFiles({ name: 'modulo.pdf', mimeType: 'application/pdf', buffer: Buffer.alloc(14_200) });
    await until('it is on its way', () => held.answered);
    await page.getByRole('button', { name: 'Nota interna' }).click();
    await page.getByLabel('Testo della nota').waitFor();
    await open(page, mock, 2);
    await open(page, mock, 1);
    await reply(page).fill('Testo nuovo');
    held.release();
    const file = page.locator('.composer .file', { hasText: 'modulo.pdf' });
    await file.waitFor();
    await file.locator('progress').waitFor({ state: 'detached' });
    assert.equal(await reply(page).inputValue(), 'Testo nuovo');
    await page.reload();
    await file.waitFor();
    assert.equal(await reply(page).inputValue(), 'Testo nuovo');
    await file.getByRole('button').click();
    await reply(page).fill('');
  });
}

async function reading(page, mock) {
  await test('a conversation that cannot be read says so above the thread, keeps its mark, and is read when it can be', async () => {
    await open(page, mock, 1);
    const heal = mock.fail('GET', cv(1));
    const news = write(mock, 1, 'Arrivata durante il guasto');
    await page.locator('.conversation-main').getByText('Potrebbe mancare qualcosa di nuovo').waitFor();
    await log(page).getByText('la ricevuta va bene').waitFor();
    await unread(page, 'Giulia').waitFor();
    await look(page, 'conversation-stale');
    assert.equal(mock.log.filter((each) => each.path.endsWith('/read') && each.path.includes(ct(1)) && each.body.until >= news.at).length, 0);
    heal();
    await log(page).getByText('Arrivata durante il guasto').waitFor();
    await unread(page, 'Giulia').waitFor({ state: 'detached' });
    await page.getByText('Potrebbe mancare qualcosa di nuovo').waitFor({ state: 'detached' });
  });
  await test('a contact that cannot be read at first is read', async () => {
    const contact = mock.find(ct(9));
    mock.fail('GET', ct(9), 2);
    Object.assign(contact, { state: 'active', owner: OP, owner_name: 'Anna Bianchi', version: contact.version + 1 });
    mock.push({ event: 'contact.assigned', operator: OP, reason: 'supervisor' }, contact);
    await page.locator('.contact', { hasText: 'Davide Costa' }).waitFor();
  });
  await test('what comes to me while the whole is read anew is not lost', async () => {
    const contact = mock.find(ct(15));
    mock.control.gap = true;
    const held = mock.hold('GET', '/state');
    mock.dropSockets();
    await until('the state is on its way', () => held.answered);
    mock.control.gap = false;
    Object.assign(contact, { state: 'active', owner: OP, owner_name: 'Anna Bianchi', version: contact.version + 1 });
    mock.push({ event: 'contact.assigned', operator: OP, reason: 'supervisor' }, contact);
    await page.locator('.contact', { hasText: 'Nino Serra' }).waitFor();
    const answer = page.waitForResponse((response) => response.url().endsWith('/state'));
    held.release();
    await (await answer).finished();
    await painted(page);
    await page.locator('.contact', { hasText: 'Nino Serra' }).waitFor();
  });
  await test('an older answer does not cover a newer one', async () => {
    const held = mock.hold('GET', cv(1));
    write(mock, 1, 'Prima delle due');
    await until('the first reading is on its way', () => held.answered);
    write(mock, 1, 'Seconda delle due');
    await log(page).getByText('Seconda delle due').waitFor();
    const answer = page.waitForResponse((response) => response.url().endsWith(cv(1)));
    held.release();
    await (await answer).finished();
    await painted(page);
    assert.equal(await log(page).getByText('Seconda delle due').count(), 1);
  });
  await test('the history shows what was chosen last', async () => {
    const held = mock.hold('GET', '/contacts');
    await page.goto(`${mock.url}/#/history`);
    await until('the first list is on its way', () => held.answered);
    await page.getByRole('combobox', { name: 'Stato' }).selectOption('pending');
    await page.getByRole('link', { name: 'Ricorso avverso' }).waitFor();
    const answer = page.waitForResponse((response) => response.url().includes('state=closed'));
    held.release();
    await (await answer).finished();
    await painted(page);
    assert.equal(await page.getByRole('link', { name: 'Ricorso avverso' }).count(), 1);
    assert.equal(await page.getByRole('link', { name: 'Duplicato tessera' }).count(), 0);
  });
  await test('the history says whether nothing is there, or nothing of what was loaded fits, or it could not be read', async () => {
    await page.getByRole('searchbox').fill('non c\'è');
    await page.getByText(/^Nessuno (tra i|nell'unico)/).waitFor();
    await page.getByRole('searchbox').fill('');
    await page.getByRole('combobox', { name: 'Stato' }).selectOption('abandoned');
    await page.getByText('Nessun contatto.').waitFor();
    const heal = mock.fail('GET', '/contacts');
    await page.getByRole('combobox', { name: 'Stato' }).selectOption('closed');
    await page.getByRole('alert').getByText('momentaneamente fermo').waitFor();
    assert.equal(await page.getByText('Nessun contatto.').count(), 0);
    await look(page, 'history-failed');
    heal();
    await page.getByRole('button', { name: 'Riprova' }).click();
    await page.getByRole('link', { name: 'Duplicato tessera' }).waitFor();
  });
}

async function line(page, mock) {
  await page.goto(`${mock.url}/#/`);
  const arrives = (number, name) => {
    write(mock, number, 'Sono ancora qui');
    return unread(page, name).waitFor();
  };
  /** Some time after the last beat the line is dead. */
  const die = async (ms) => {
    mock.beat();
    await painted(page);
    mock.mute();
    await page.evaluate((shift) => { window.shift += shift; }, ms);
  };
  await test('a line that is silent is made anew when the network is back', async () => {
    await die(9_000);
    await page.evaluate(() => window.dispatchEvent(new Event('online')));
    await arrives(2, 'Paolo');
  });
  await test('a line that is silent is made anew when the page is looked at again', async () => {
    await die(9_000);
    await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
    await arrives(3, '+39 333');
  });
  await test('a line that is silent for long is made anew by itself', async () => {
    await die(21_000);
    await arrives(16, 'Bruno Leone');
    await until('the dead ones are closed', () => mock.lines() === 1);
  });
  await test('a line that is refused says so', async () => {
    mock.control.refuseLines = true;
    mock.dropSockets();
    await page.locator('.banner').getByText('Il server risponde, ma non accetta il collegamento').waitFor();
    await spoken(page, 'Il server risponde, ma non accetta il collegamento').waitFor({ state: 'attached' });
    await look(page, 'line-refused');
    mock.control.refuseLines = false;
    await page.getByRole('button', { name: 'Ricollega ora' }).click();
    await page.locator('.banner').waitFor({ state: 'detached' });
    await spoken(page, 'Collegamento ripristinato.').waitFor({ state: 'attached' });
  });
}

async function offers(page, mock) {
  const card = page.locator('.offer');
  await test('an offer is seen on a computer whose clock was set', async () => {
    await page.evaluate(() => { window.skew += 3_600_000; });
    ring(mock, 8);
    await card.getByText('Rateizzazione').waitFor();
    const left = await card.locator('time').innerText();
    await until('its time runs', async () => (await card.locator('time').innerText()) !== left);
    assert.match(await card.locator('time').innerText(), /^[12]:/);
  });
  await test('an offer that could not be taken goes on ringing, and is taken once', async () => {
    mock.fail('POST', '/accept', 4);
    await page.keyboard.press('F8');
    await page.getByText('Il servizio di smistamento è momentaneamente fermo').first().waitFor();
    assert.equal(await card.count(), 1);
    await page.keyboard.press('F8');
    await card.waitFor({ state: 'detached' });
    await page.waitForURL(`**/#/contact/${ct(8)}`);
    const attempts = sent(mock, '/accept');
    assert.equal(attempts.length, 5);
    assert.equal(new Set(attempts.map((each) => each.key)).size, 1);
  });
  await test('an offer that is over goes away', async () => {
    ring(mock, 10);
    await card.waitFor();
    const offer = mock.world.journal.findLast((each) => each.event === 'offer.made');
    mock.control.refuse.set(`/offers/${ct(10)}/${offer.ordinal}/accept`, 'offer_expired');
    await page.keyboard.press('F8');
    await card.waitFor({ state: 'detached' });
    await page.getByText('Il tempo per accettare è scaduto').first().waitFor();
  });
  await test('an offer that rings while a dialog is open is spoken in the dialog, and F8 takes it', async () => {
    await open(page, mock, 1);
    await log(page).focus();
    await page.keyboard.press('x');
    await page.getByRole('dialog').waitFor();
    ring(mock, 6);
    await page.getByRole('dialog').getByRole('alert').getByText('Contatto in arrivo: Scuola e mensa').waitFor();
    await page.keyboard.press('F8');
    await card.waitFor({ state: 'detached' });
    await page.keyboard.press('Escape');
  });
}

async function news(page, mock) {
  const others = (number, change, ...events) => {
    const contact = mock.find(ct(number));
    Object.assign(contact, change, { version: contact.version + 1 });
    for (const event of events) mock.push(event, contact);
  };
  await test('what becomes of my contacts elsewhere is told with their name', async () => {
    await page.goto(`${mock.url}/#/`);
    others(4, { state: 'closed' }, { event: 'contact.closed', operator: OP, resolution: 'handed_over' });
    await notice(page, 'Un tuo contatto è stato chiuso (Studio Ferri, coda Tributi). Esito: Risponde un altro ufficio').waitFor();
    others(9, { owner: id('op', 3) }, { event: 'contact.released', operator: OP, reason: 'reassigned' }, { event: 'contact.assigned', operator: id('op', 3), reason: 'supervisor' });
    await notice(page, 'affidato a un collega (Davide Costa, coda Anagrafe)').waitFor();
    assert.equal(await notice(page, 'tornato in coda').count(), 0);
    await look(page, 'told');
  });
  await test('what I do myself is not told as news', async () => {
    await open(page, mock, 15);
    await page.getByRole('button', { name: 'Restituisci' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Restituisci' }).click();
    await notice(page, 'Contatto restituito alla coda.').waitFor();
    await page.locator('.contact', { hasText: 'Nino Serra' }).waitFor({ state: 'detached' });
    assert.equal(await notice(page, /Nino Serra|tornato in coda/).count(), 0);
  });
  await test('a citizen who is silent is marked until they write', async () => {
    await open(page, mock, 16);
    others(16, {}, { event: 'contact.silent', operator: OP, closes_at: new Date(Date.now() + 600_000).toISOString() });
    await notice(page, 'Il cittadino non risponde (Bruno Leone, coda Scuola e mensa)').waitFor();
    const marks = page.getByText('Non risponde', { exact: true });
    await until('list and bar show it', async () => (await marks.count()) === 2);
    await look(page, 'silent');
    write(mock, 16, 'Eccomi');
    await until('the mark is gone', async () => (await marks.count()) === 0);
  });
  await test('what was answered is due no more', async () => {
    const badge = page.locator('.contact', { hasText: 'Bruno Leone' }).locator('.due');
    await badge.getByText(/^(entro|in ritardo)/).waitFor();
    others(16, { first_response_at: new Date().toISOString() }, { event: 'contact.case' });
    await badge.getByText(/^prima risposta/).waitFor();
  });
  await test('colleagues are shown to whom one transfers as they are now', async () => {
    mock.world.colleagues[0].state = 'away';
    await page.getByRole('button', { name: 'Trasferisci' }).click();
    await page.getByRole('dialog').getByRole('radio', { name: 'Collega' }).check();
    await page.getByRole('option', { name: 'Marco Verdi – In pausa' }).waitFor({ state: 'attached' });
    await page.keyboard.press('Escape');
  });
}

async function presence(page, mock) {
  const asked = () => mock.log.filter((each) => each.method === 'PUT' && each.path === '/presence').map((each) => each.body);
  const choose = async (name) => {
    await page.locator('.presence').click();
    await page.getByRole('group', { name: 'La mia presenza' }).getByRole('button', { name }).click();
  };
  await test('who is put away is told, and is back by the notice', async () => {
    mock.push({ event: 'operator.presence', operator: OP, presence: { state: 'away', reason: 'missed' }, connected: true });
    const told = notice(page, 'Non ricevi più contatti: le ultime offerte sono rimaste senza risposta.');
    await told.waitFor();
    await look(page, 'put-away');
    await told.getByRole('button', { name: 'Torna disponibile' }).click();
    await told.waitFor({ state: 'detached' });
    await until('the desk knows', () => asked().at(-1)?.state === 'ready');
    await page.locator('.presence-ready').waitFor();
  });
  await test('who was put away while the line was lost is told too', async () => {
    const me = mock.world.people[0];
    mock.control.gap = true;
    me.presence = { state: 'offline', connected: true, since: new Date().toISOString() };
    mock.dropSockets();
    const told = notice(page, 'la postazione è rimasta scollegata');
    await told.waitFor();
    mock.control.gap = false;
    await choose('Disponibile');
    await told.waitFor({ state: 'detached' });
    await page.locator('.presence-ready').waitFor();
  });
  await test('going off duty with live contacts asks first', async () => {
    const before = asked().length;
    await choose('Non in servizio');
    await page.getByRole('dialog').getByText(/Hai .+ dal vivo: tra un minuto .+ in coda/).waitFor();
    await look(page, 'off-duty');
    await page.getByRole('dialog').getByRole('button', { name: 'Annulla' }).click();
    assert.equal(asked().length, before);
    await page.locator('.presence-ready').waitFor();
  });
  await test('a change of presence whose answer is lost shows what the desk has', async () => {
    mock.fail('PUT', '/presence', 4);
    mock.world.people[0].presence = { state: 'away', reason: 'training', connected: true, since: new Date().toISOString() };
    await choose('Pranzo');
    await page.locator('.presence', { hasText: 'Formazione' }).waitFor();
    assert.equal(await notice(page, 'Non ricevi più contatti').count(), 0);
    await choose('Disponibile');
    await page.locator('.presence-ready').waitFor();
  });
}

async function people(page, mock) {
  const conversationsRead = () => mock.log.filter((each) => each.method === 'GET' && each.path.startsWith('/conversations/')).length;
  await test('who signs in in another tab ends the session of who was there, or was about to be', async () => {
    const replaced = (where) => where.getByText('ha effettuato l\'accesso un\'altra persona').waitFor();
    mock.endSessions();
    await page.getByText('La sessione è finita.').waitFor();
    const other = await page.context().newPage();
    await other.goto(mock.url);
    const held = mock.hold('GET', '/state');
    await handIn(page, 'capo');
    await until('the state is on its way', () => held.answered);
    await signIn(other, mock, 'op');
    held.release();
    await replaced(page);
    await signIn(page, mock, 'capo');
    await replaced(other);
    assert.equal(await other.locator('.account-button').count(), 0);
    await look(other, 'replaced');
    await other.close();
    await page.locator('.account-button').click();
    await page.getByRole('button', { name: 'Esci' }).click();
    await signIn(page, mock, 'op');
    await page.getByText('Buon lavoro, Anna').waitFor();
  });
  await test('who comes back after the session ended finds the thread as it is now', async () => {
    await open(page, mock, 1);
    mock.endSessions();
    await page.getByText('La sessione è finita.').waitFor();
    const news = write(mock, 1, 'Scritta mentre non c\'eri');
    await signIn(page, mock, 'op');
    await log(page).getByText('Scritta mentre non c\'eri').waitFor();
    await until('it is told as read', () => mock.log.findLast((each) => each.path === `/contacts/${ct(1)}/read`)?.body.until >= news.at);
  });
  await test('who comes next in the same tab sees nothing of who was there', async () => {
    await page.getByRole('button', { name: 'Trasferisci' }).first().click();
    await page.getByRole('dialog').waitFor();
    const held = mock.hold('GET', cv(1));
    write(mock, 1, 'Per la prima persona');
    await until('a reading is on its way', () => held.answered);
    mock.endSessions();
    await page.getByText('La sessione è finita.').waitFor();
    assert.equal(await page.evaluate(() => location.hash), '#/');
    const before = conversationsRead();
    await signIn(page, mock, 'capo');
    held.release();
    await page.getByText('Buon lavoro, Carla').waitFor();
    await painted(page);
    assert.equal(await page.locator('.conversation, dialog').count(), 0);
    assert.equal(conversationsRead(), before);
    assert.equal(await page.evaluate(() => location.hash), '#/');
    await page.locator('.account-button').click();
    await page.getByRole('button', { name: 'Esci' }).click();
    await signIn(page, mock, 'op');
    await page.getByText('Buon lavoro, Anna').waitFor();
  });
  await test('a sign-out that the server does not hear of says so, is repeated, and keeps others out until it is done', async () => {
    await open(page, mock, 1);
    await reply(page).fill('Una bozza');
    await page.waitForFunction(() => Object.keys(localStorage).some((key) => key.startsWith('sportello.draft/')));
    const heal = mock.fail('DELETE', '/session');
    await page.locator('.account-button').click();
    await page.getByRole('button', { name: 'Esci' }).click();
    await page.getByRole('button', { name: 'Esci e cancella le bozze' }).click();
    await page.getByText('non è ancora confermata').waitFor();
    await look(page, 'leaving');
    await page.reload();
    await page.getByText('non è ancora confermata').waitFor();
    const drafts = () => page.evaluate(() => Object.keys(localStorage).filter((key) => key.startsWith('sportello.draft/')).length);
    assert.equal(await drafts(), 1);
    heal();
    await page.getByRole('button', { name: 'Accedi' }).waitFor();
    assert.equal(await drafts(), 0);
    await page.reload();
    await page.getByRole('button', { name: 'Accedi' }).waitFor();
  });
}

/** What the test of writing takes too. */
