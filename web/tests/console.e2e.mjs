// The console in a real browser. Without SPORTELLO_URL against the mock; with it against a real daemon (then only what
// holds for any data is checked): SPORTELLO_LOGIN and SPORTELLO_PASSWORD are the credentials.
import assert from 'node:assert/strict';
import { openBrowser } from './browser.mjs';
import { composing } from './console-composing.mjs';
import { faults } from './console-faults.mjs';
import { ct, id, OP } from './console-page.mjs';
import { startMock } from './mock-server.mjs';
import { finish, look, PATIENCE_MS, test, until, watch } from './story.mjs';

const real = process.env['SPORTELLO_URL'];
const mock = real ? undefined : await startMock();
const base = real || mock.url;
const ms = (number) => id('ms', number);
/** What the page may ask for. */
const known = [base, 'data:', 'ws'];

async function signIn(page, login, password) {
  await page.goto(base);
  await page.getByLabel('Nome utente').fill(login);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Accedi' }).click();
  await page.getByRole('heading', { level: 1 }).first().waitFor();
  await page.getByRole('link', { name: 'I miei contatti' }).waitFor();
}

async function everywhere(page) {
  for (const [hash, name] of [['#/', 'workspace'], ['#/history', 'history'], ['#/preferences', 'preferences']]) {
    await test(`view ${name}`, async () => {
      await page.goto(`${base}/${hash}`);
      await page.locator('h1').first().waitFor();
      await look(page, name);
    });
  }
}

async function operator(page) {
  await test('a wrong password says so', async () => {
    await page.goto(base);
    await look(page, 'sign-in');
    await page.getByLabel('Nome utente').fill('op');
    await page.getByLabel('Password', { exact: true }).fill('sbagliata');
    await page.getByRole('button', { name: 'Accedi' }).click();
    await page.getByText('Nome utente o password non corretti').waitFor();
  });
  await test('sign in', () => signIn(page, 'op', 'password'));
  await test('my contacts are listed with what is late', async () => {
    await page.getByText('in ritardo di 22 min').waitFor();
    assert.equal(await page.locator('.contact').count(), 6);
    await look(page, 'workspace-list');
  });
  await test('a conversation shows facts, thread and notes', async () => {
    await page.locator('.contact', { hasText: 'Giulia Rossi' }).click();
    await page.getByRole('log').getByText('la ricevuta va bene').waitFor();
    await page.getByText('2026/0012345').first().waitFor();
    await page.getByRole('log').getByText('resta interna').waitFor();
    await page.getByText('Segue un contatto precedente.').waitFor();
    const remarks = await page.locator('.message-remarks li').allTextContents();
    assert.deepEqual(remarks, ['Allegati non mostrati: 2. Sono nel messaggio originale.', 'Modulo web: F24', 'Chiede che si risponda a caf@example.org']);
    await look(page, 'conversation');
  });
  await test('HTML mail is shown in a frame that may do nothing', async () => {
    await page.getByRole('button', { name: 'Mostra l\'aspetto originale' }).click();
    const frame = page.frameLocator('iframe.mail-frame');
    await frame.getByText('domanda di riduzione TARI').waitFor();
    assert.equal(await page.locator('iframe.mail-frame').getAttribute('sandbox'), '');
    assert.notEqual(await page.title(), 'BROKEN');
    await look(page, 'conversation-html');
    await page.getByRole('button', { name: 'Mostra come testo' }).click();
  });
  await test('a failed reply can be sent again', async () => {
    await page.getByRole('button', { name: 'Invia di nuovo' }).click();
    await page.getByText('In coda d\'invio').waitFor();
  });
  await test('a draft survives a reload', async () => {
    await page.getByLabel('Testo della risposta').fill('Gentile signora, va bene così.');
    await page.waitForFunction(() => Object.keys(localStorage).some((key) => key.startsWith('sportello.draft/')));
    await page.reload();
    await page.getByLabel('Testo della risposta').waitFor();
    assert.equal(await page.getByLabel('Testo della risposta').inputValue(), 'Gentile signora, va bene così.');
    await page.locator('.contact', { hasText: 'Giulia' }).getByText('Bozza').waitFor();
  });
  await test('a file is attached and the reply sent once though the router is away at first', async () => {
    await page.locator('input[type=file]').setInputFiles({ name: 'modulo.pdf', mimeType: 'application/pdf', buffer: Buffer.alloc(14_200) });
    await page.locator('.composer .file', { hasText: 'modulo.pdf' }).waitFor();
    await page.getByRole('button', { name: 'Aggiungi CC' }).click();
    await page.getByLabel('Copia a (CC)').fill('caf@example.org');
    await look(page, 'composer');
    mock.control.failNext = 2;
    await page.getByRole('button', { name: 'Invia', exact: true }).click();
    await page.getByText('Risposta affidata all\'invio.').first().waitFor();
    const sent = mock.log.filter((each) => each.path.endsWith('/reply'));
    assert.equal(sent.length, 3);
    assert.equal(new Set(sent.map((each) => each.key)).size, 1);
    assert.match(sent[0].key, /^cm_[0-9a-f]{32}$/);
    assert.deepEqual(sent[0].body.cc, [{ address: 'caf@example.org' }]);
    await page.getByRole('log').getByText('Gentile signora, va bene così.').waitFor();
    assert.equal(await page.getByLabel('Testo della risposta').inputValue(), '');
  });
  await test('a note is visibly not a reply', async () => {
    await page.getByRole('log').focus();
    await page.keyboard.press('n');
    await page.getByText('Resta interna: il cittadino non la vedrà mai.').waitFor();
    await page.getByLabel('Testo della nota').fill('Sentito l\'ufficio: tutto a posto.');
    await look(page, 'note');
    await page.keyboard.press('Control+Enter');
    await page.getByRole('log').getByText('Sentito l\'ufficio').waitFor();
  });
  await test('an offer rings and F8 takes it', async () => {
    const contact = mock.find(ct(6));
    mock.push({ event: 'offer.made', ordinal: 1, operator: OP, deadline: new Date(Date.now() + 120_000).toISOString() }, contact);
    await page.getByRole('heading', { name: 'Contatto in arrivo: Chat' }).waitFor();
    await page.getByText('Sara Greco – Chat dal sito').waitFor();
    await look(page, 'offer');
    await page.keyboard.press('F8');
    await page.getByRole('log').getByText('pagato due volte').waitFor();
    await page.locator('.offer').waitFor({ state: 'detached' });
  });
  await test('an offer is rejected with a reason', async () => {
    mock.push({ event: 'offer.made', ordinal: 1, operator: OP, deadline: new Date(Date.now() + 120_000).toISOString() }, mock.find(ct(8)));
    await page.locator('.offer').waitFor();
    await page.keyboard.press('F9');
    await page.getByRole('group', { name: 'Perché lo rifiuti?' }).waitFor();
    await look(page, 'offer-reject');
    await page.getByRole('button', { name: 'Devo astenermi' }).click();
    await page.locator('.offer').waitFor({ state: 'detached' });
    assert.equal(mock.log.findLast((each) => each.path.endsWith('/reject')).body.reason, 'conflict');
  });
  await test('a message of the citizen marks another contact unread', async () => {
    mock.push({ event: 'message.received', message: 'ms_1', operator: OP }, mock.find(ct(3)));
    await page.locator('.contact-unread', { hasText: '+39 333' }).waitFor();
    await until('the title counts it', async () => /^\(1\)/.test(await page.title()));
  });
  await test('unread marks survive a reload and are the same in a second console; what is read in one is read in both', async () => {
    const unread = (where) => where.locator('.contact-unread', { hasText: '+39 333' });
    await page.evaluate(() => localStorage.clear());
    await page.reload();
    await unread(page).waitFor();
    const second = await page.context().newPage();
    await second.goto(base);
    await unread(second).waitFor();
    await second.goto(`${base}/#/contact/${ct(3)}`);
    await second.getByRole('log').getByText('Ho cambiato casa').waitFor();
    await unread(page).waitFor({ state: 'detached' });
    await second.close();
    await page.reload();
    await page.locator('.contact', { hasText: '+39 333' }).waitFor();
    assert.equal(await unread(page).count(), 0);
  });
  await test('a chat: Enter sends, typing and reading go both ways', async () => {
    await page.goto(`${base}/#/contact/${ct(16)}`);
    const log = page.getByRole('log');
    await log.getByText('Buongiorno, <b>chi</b> paga').waitFor();
    const told = (type) => mock.signs.filter((sign) => sign.type === type && sign.contact === ct(16));
    await until('the reading is told', () => told('read').some((sign) => sign.message === ms(16)));
    await page.locator('.facts').getByText('Altri contatti aperti del cittadino').waitFor();
    await page.locator('.facts').getByRole('link', { name: 'Mensa scolastica: intolleranza' }).waitFor();
    const area = page.getByLabel('Testo della risposta');
    const began = Date.now();
    await area.pressSequentially('A novembre');
    await until('typing is told', () => told('typing').length > 0);
    await area.press('Shift+Enter');
    await area.pressSequentially('paga il Comune.');
    assert.ok(told('typing').length <= 1 + (Date.now() - began) / 3_000, 'typing is told too often');
    assert.equal(mock.signs.filter((sign) => sign.type === 'read' && sign.message === ms(16)).length, 1);
    mock.sign({ type: 'typing', contact: ct(16) });
    await page.getByText('Bruno Leone sta scrivendo…').waitFor();
    await page.locator('.contact', { hasText: 'Bruno Leone' }).getByText('Sta scrivendo…').waitFor();
    await look(page, 'chat');
    await area.press('Enter');
    await log.getByText('A novembre\npaga il Comune.').waitFor();
    assert.equal(await area.inputValue(), '');
    await until('the focus stays', () => area.evaluate((element) => element === document.activeElement));
    assert.equal(await log.getByText('Letto', { exact: true }).count(), 0);
    mock.sign({ type: 'read', contact: ct(16), message: ms(17) });
    await log.getByText('Letto', { exact: true }).waitFor();
    assert.equal(await log.getByText('Letto', { exact: true }).count(), 1);
    mock.world.entries.find((entry) => entry.id === ms(17)).read = true;
    await page.reload();
    await log.getByText('Letto', { exact: true }).waitFor();
  });
  await test('several chats: unread marks, and F2 goes where somebody waits', async () => {
    const other = mock.find(ct(6));
    mock.world.entries.push({ ...mock.world.entries.find((entry) => entry.id === ms(9)), id: ms(99), text: 'Ci siete?' });
    mock.push({ event: 'message.received', message: ms(99), operator: OP }, other);
    await page.locator('.contact-unread', { hasText: 'Sara Greco' }).waitFor();
    await page.getByLabel('Testo della risposta').focus();
    await page.keyboard.press('F2');
    await page.getByRole('log').getByText('Ci siete?').waitFor();
    await page.locator('.contact-unread', { hasText: 'Sara Greco' }).waitFor({ state: 'detached' });
    await until('the focus is where one writes', () => page.getByLabel('Testo della risposta').evaluate((element) => element === document.activeElement));
    mock.push({ event: 'message.received', message: 'ms_1', operator: OP }, mock.find(ct(3)));
    await page.locator('.contact-unread', { hasText: '+39 333' }).waitFor();
    await page.keyboard.press('F2');
    await page.waitForURL(`**/#/contact/${ct(3)}`);
  });
  await test('an SMS says its alphabet, parts and cost, and is simplified', async () => {
    await page.goto(`${base}/#/contact/${ct(3)}`);
    const area = page.getByLabel('Testo della risposta');
    await area.fill('È pronto: l’ufficio la aspetta domani dalle 9 alle 12 in via Roma 1, “piano terra”…');
    await page.getByText('2 SMS, 51 caratteri liberi').waitFor();
    await page.getByText('Costo: 0,09 €.').waitFor();
    await page.getByText('Caratteri speciali (È ’ “ ” …)').waitFor();
    await look(page, 'sms');
    await page.getByRole('button', { name: 'Semplifica i caratteri: 1 SMS' }).click();
    assert.equal(await area.inputValue(), 'E\' pronto: l\'ufficio la aspetta domani dalle 9 alle 12 in via Roma 1, "piano terra"...');
    await page.getByText('Costo: 0,045 €.').waitFor();
    await area.fill('');
    await page.getByText('Costo:').waitFor({ state: 'detached' });
  });
  await test('without a price an SMS says its parts only', async () => {
    const contact = mock.find(ct(3));
    const { sms } = contact;
    delete contact.sms;
    await page.reload();
    const area = page.getByLabel('Testo della risposta');
    await area.fill('Può venire domani');
    await page.getByText('1 SMS, 143 caratteri liberi').waitFor();
    assert.equal(await page.getByText('Costo:').count(), 0);
    await area.fill('');
    contact.sms = sms;
  });
  await test('an attempt of unknown end is settled by who knows', async () => {
    await page.getByText('Esito incerto').waitFor();
    assert.equal(await page.getByRole('button', { name: 'Invia di nuovo' }).count(), 0, 'not before somebody has said how it ended');
    await page.getByRole('button', { name: 'Non è arrivato', exact: true }).click();
    await page.getByRole('log').getByText('secondo Anna Bianchi').waitFor();
    await look(page, 'settled');
    assert.deepEqual(mock.log.findLast((each) => each.path.endsWith('/settle')).body, { arrived: false });
    await page.getByRole('button', { name: 'Invia di nuovo' }).click();
    await page.getByRole('log').getByText('In coda d\'invio').waitFor();
  });
  await test('waiting, case, transfer and closing by dialogs', async () => {
    await page.goto(`${base}/#/contact/${ct(3)}`);
    await page.getByLabel('Testo della risposta').fill('Può venire domani');
    await page.getByText('1 SMS, 143 caratteri liberi').waitFor();
    await page.getByLabel('Testo della risposta').fill('');
    await page.getByRole('button', { name: 'Metti in attesa' }).click();
    await page.getByRole('button', { name: 'Tra 3 giorni lavorativi' }).click();
    await look(page, 'dialog-pend');
    await page.getByRole('dialog').getByRole('button', { name: 'Metti in attesa' }).click();
    await page.locator('.bar').getByText('In attesa – Attende il cittadino').waitFor();
    await page.getByRole('button', { name: 'Collega la pratica' }).click();
    await page.getByLabel('Numero di protocollo').fill('2026/77');
    await look(page, 'dialog-case');
    await page.getByRole('button', { name: 'Salva' }).click();
    await page.locator('.facts').getByText('2026/77').waitFor();
    await page.getByRole('button', { name: 'Riprendi' }).click();
    await page.getByRole('button', { name: 'Trasferisci' }).click();
    await page.getByRole('dialog').getByRole('combobox', { name: 'Coda' }).selectOption('tributi');
    await page.getByLabel('Motivo').selectOption('wrong_queue');
    await look(page, 'dialog-transfer');
    await page.getByRole('dialog').getByRole('button', { name: 'Trasferisci' }).click();
    await page.getByText('Contatto trasferito.').first().waitFor();
    await page.goto(`${base}/#/contact/${ct(2)}`);
    await page.getByRole('log').waitFor();
    await page.getByRole('log').focus();
    await page.keyboard.press('x');
    await look(page, 'dialog-close');
    await page.getByRole('dialog').getByRole('button', { name: 'Chiudi', exact: true }).click();
    await page.getByText('Contatto chiuso.').first().waitFor();
    await page.locator('.contact', { hasText: 'Paolo' }).waitFor({ state: 'detached' });
  });
  await test('a refused command is explained', async () => {
    mock.control.refuse.set(`/contacts/${ct(5)}/close`, 'version_changed');
    await page.goto(`${base}/#/contact/${ct(5)}`);
    await page.getByRole('log').focus();
    await page.keyboard.press('x');
    await page.getByRole('dialog').getByRole('button', { name: 'Chiudi', exact: true }).click();
    await page.getByRole('dialog').getByText('Il contatto è cambiato mentre lavoravi').waitFor();
    await page.keyboard.press('Escape');
    mock.control.refuse.clear();
  });
  await test('presence by keyboard', async () => {
    await page.locator('.presence').focus();
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Pausa dallo schermo' }).waitFor();
    await look(page, 'presence');
    await page.getByRole('button', { name: 'Pausa dallo schermo' }).press('Enter');
    await page.locator('.presence-away').waitFor();
  });
  await test('the lost socket is shown, and what was missed comes after it', async () => {
    mock.dropSockets();
    mock.push({ event: 'message.received', message: 'ms_2', operator: OP }, mock.find(ct(1)));
    await page.locator('.contact-unread', { hasText: 'Giulia' }).waitFor();
  });
  await test('after a gap the open conversation is whole, though the first reading fails', async () => {
    const open = mock.find((await page.evaluate(() => location.hash)).match(/ct_[0-9a-f]{32}/)[0]);
    mock.control.gap = true;
    mock.control.failState = 1;
    mock.dropSockets();
    mock.world.seq += 5;
    mock.world.entries.push({ ...mock.world.entries.find((entry) => entry.contact === open.id && entry.direction === 'inbound'), id: `ms_${'7'.repeat(32)}`, text: 'Scritto durante il guasto' });
    await page.getByRole('log').getByText('Scritto durante il guasto').waitFor();
    assert.equal(mock.control.failState, 0);
    mock.control.gap = false;
  });
  await test('shortcuts help, English', async () => {
    await page.getByRole('log').focus();
    await page.keyboard.press('Shift+?');
    await page.getByRole('heading', { name: 'Scorciatoie da tastiera' }).waitFor();
    await look(page, 'help');
    await page.keyboard.press('Escape');
    await page.locator('.account-button').click();
    await page.getByRole('button', { name: 'ENG' }).click();
    assert.equal(await page.locator('html').getAttribute('lang'), 'en');
    await page.getByRole('link', { name: 'History' }).waitFor();
    await page.getByRole('button', { name: 'ITA' }).click();
    await page.keyboard.press('Escape');
  });
  await everywhere(page);
  for (const [hash, name] of [['#/', 'narrow-list'], [`#/contact/${ct(1)}`, 'narrow-conversation'], ['#/preferences', 'narrow-preferences']]) {
    await test(`320 px: ${name}`, async () => {
      await page.setViewportSize({ width: 320, height: 640 });
      await page.goto(`${base}/${hash}`);
      await page.locator('h1:visible').first().waitFor();
      await page.waitForLoadState('networkidle');
      await look(page, name);
      await page.setViewportSize({ width: 1440, height: 900 });
    });
  }
  await test('the end of the session leads to sign-in and keeps the draft', async () => {
    await page.goto(`${base}/#/contact/${ct(1)}`);
    await page.getByLabel('Testo della risposta').fill('Mezza risposta');
    await page.waitForFunction(() => Object.keys(localStorage).some((key) => key.startsWith('sportello.draft/')));
    mock.endSessions();
    await page.getByText('La sessione è finita.').waitFor();
    await look(page, 'session-ended');
    await page.getByLabel('Nome utente').fill('op');
    await page.getByLabel('Password', { exact: true }).fill('password');
    await page.getByRole('button', { name: 'Accedi' }).click();
    await page.getByLabel('Testo della risposta').waitFor();
    assert.equal(await page.getByLabel('Testo della risposta').inputValue(), 'Mezza risposta');
  });
  await test('signing out asks before drafts are deleted', async () => {
    await page.locator('.account-button').click();
    await page.getByRole('button', { name: 'Esci' }).click();
    await look(page, 'sign-out');
    await page.getByRole('button', { name: 'Esci e cancella le bozze' }).click();
    await page.getByRole('button', { name: 'Accedi' }).waitFor();
    assert.equal(await page.evaluate(() => Object.keys(localStorage).filter((key) => key.startsWith('sportello.draft/')).length), 0);
  });
}

async function supervisor(page) {
  await test('the room', async () => {
    await signIn(page, 'capo', 'password');
    await page.getByRole('link', { name: 'Sala' }).click();
    await page.getByRole('heading', { name: 'Operatori' }).waitFor();
    await page.locator('.queue', { hasText: 'Tributi' }).getByText('Informazioni IMU').waitFor();
    await page.getByRole('button', { name: 'Prendi: Luca Marino, Informazioni IMU' }).waitFor();
    await look(page, 'room');
  });
  await test('a contact that keeps coming back calls the supervisor, and stays marked', async () => {
    const mark = page.locator('.queue-list li', { hasText: 'Informazioni IMU' }).getByText('Serve un supervisore');
    await mark.waitFor();
    mock.push({ event: 'contact.escalated', returns: 6 }, mock.find(ct(7)));
    await page.getByText('ha bisogno di un supervisore: Tributi').first().waitFor();
    await page.reload();
    await mark.waitFor();
  });
  await test('in a surge the desk\'s numbers are shown, and that the list is cut', async () => {
    mock.control.unlisted = 900;
    await page.reload();
    await page.locator('.queue', { hasText: 'Tributi' }).getByText(/^90\d$/).waitFor();
    await page.locator('.room-waiting').getByText(/L'elenco ne mostra \d+ di 36\d\d/).waitFor();
    await look(page, 'room-surge');
    mock.control.unlisted = 0;
    await page.reload();
  });
  await test('who is given a contact from the workspace is shown as loaded as they are now', async () => {
    await page.goto(`${base}/#/contact/${ct(8)}`);
    mock.world.room[1].live_used = 33;
    await page.getByRole('button', { name: 'Assegna' }).click();
    await page.getByRole('option', { name: /Marco Verdi – Disponibile, dal vivo 33\/100/ }).waitFor({ state: 'attached' });
    await page.keyboard.press('Escape');
    await page.goto(`${base}/#/room`);
  });
  await test('assigning a waiting contact', async () => {
    await page.locator('.queue-list li', { hasText: 'Informazioni IMU' }).getByRole('button', { name: 'Assegna' }).click();
    await page.getByRole('dialog').getByLabel('Operatore').selectOption({ index: 1 });
    await look(page, 'dialog-assign');
    await page.getByRole('dialog').getByRole('button', { name: 'Assegna' }).click();
    await page.locator('.grid', { hasText: 'Informazioni IMU' }).waitFor();
  });
  await test('closing a queue with a notice, and opening it', async () => {
    await page.getByRole('button', { name: 'Chiudi la coda Anagrafe' }).click();
    await page.getByLabel('Avviso per i cittadini').fill('Riapriamo alle 15.');
    await look(page, 'dialog-queue');
    await page.getByRole('dialog').getByRole('button', { name: 'Chiudi la coda' }).click();
    await page.getByText('– Riapriamo alle 15.').waitFor();
    await page.getByRole('button', { name: 'Riapri la coda Anagrafe' }).click();
    await page.getByRole('button', { name: 'Chiudi la coda Anagrafe' }).waitFor();
  });
  await test('the room filters by queue', async () => {
    await page.getByRole('combobox', { name: 'Coda' }).selectOption('tributi');
    await page.locator('.queue', { hasText: 'Servizi demografici' }).waitFor({ state: 'detached' });
  });
  await test('operators are created', async () => {
    await page.goto(`${base}/#/admin/operators`);
    await page.getByRole('button', { name: 'Nuovo operatore' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Nome e cognome').fill('Nuova Persona');
    await dialog.getByLabel('Nome utente').fill('npersona');
    await dialog.getByLabel('Prima password').fill('una-password-lunga');
    await dialog.getByLabel('Comune di Borgo Marina').check();
    await dialog.getByRole('button', { name: 'Aggiungi una competenza' }).click();
    await dialog.getByLabel('Nome della competenza').fill('tributi');
    await dialog.getByRole('button', { name: 'Aggiungi un permesso' }).click();
    await look(page, 'dialog-operator');
    await dialog.getByRole('button', { name: 'Salva' }).click();
    await page.getByRole('rowheader', { name: 'Nuova Persona' }).waitFor();
    const body = mock.log.findLast((each) => each.path === '/operators' && each.method === 'POST').body;
    assert.deepEqual(body.profile.skills, { tributi: 5 });
    assert.deepEqual(body.grants, [{ role: 'operator', scope: { pool: 'borgo' }, content: true }]);
    await look(page, 'admin-operators');
  });
  await test('an account is changed as it is now, and only where it was changed', async () => {
    mock.world.accounts[0].profile.languages = ['it', 'ro'];
    await page.getByRole('button', { name: 'Modifica Anna Bianchi' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Rumeno').waitFor();
    assert.equal(await dialog.getByLabel('Rumeno').isChecked(), true);
    await dialog.getByLabel('Nome e cognome').fill('Anna Bianchi Rosi');
    await dialog.getByRole('button', { name: 'Salva' }).click();
    await page.getByRole('rowheader', { name: 'Anna Bianchi Rosi' }).waitFor();
    assert.deepEqual(mock.log.findLast((each) => each.method === 'PATCH').body, { name: 'Anna Bianchi Rosi' });
  });
  await test('who is disabled is named first, and nobody disables themself', async () => {
    assert.equal(await page.getByRole('button', { name: 'Disattiva Carla Neri' }).count(), 0);
    await page.getByRole('button', { name: 'Disattiva Anna Bianchi Rosi' }).click();
    const dialog = page.getByRole('dialog', { name: 'Disattivare Anna Bianchi Rosi?' });
    await dialog.waitFor();
    await look(page, 'dialog-disable');
    assert.equal(mock.world.accounts[0].enabled, true);
    await dialog.getByRole('button', { name: 'Disattiva' }).click();
    await page.getByRole('button', { name: 'Riattiva Anna Bianchi Rosi' }).click();
    await page.getByRole('button', { name: 'Disattiva Anna Bianchi Rosi' }).waitFor();
  });
  await test('accounts that cannot be read say so, and are read when asked again', async () => {
    mock.fail('GET', '/operators', 1);
    await page.reload();
    await page.getByRole('alert').getByText('momentaneamente fermo').waitFor();
    await look(page, 'admin-failed');
    await page.getByRole('button', { name: 'Riprova' }).click();
    await page.getByRole('rowheader', { name: 'Carla Neri' }).waitFor();
  });
  await test('tokens and quarantine', async () => {
    await page.goto(`${base}/#/admin/tokens`);
    await page.getByLabel('Nome', { exact: true }).fill('sito');
    await page.getByLabel('Account', { exact: true }).fill('sito');
    await page.getByRole('button', { name: 'Crea la chiave' }).click();
    await page.getByText('Copiala ora').waitFor();
    await look(page, 'admin-tokens');
    // As in a page without HTTPS.
    await page.evaluate(() => Object.defineProperty(navigator, 'clipboard', { value: undefined }));
    await page.getByRole('button', { name: 'Copia' }).click();
    await page.locator('.notice', { hasText: 'il testo è selezionato' }).waitFor();
    assert.match(await page.evaluate(() => getSelection().toString()), /^sp_[0-9a-f]+$/);
    await page.getByRole('button', { name: 'Revoca crm' }).click();
    await page.getByRole('dialog', { name: 'Revocare la chiave «crm»?' }).getByRole('button', { name: 'Revoca' }).click();
    await page.getByRole('rowheader', { name: 'crm' }).waitFor({ state: 'detached' });
    await page.goto(`${base}/#/admin/quarantine`);
    await page.getByText('nesting deeper than 100 parts').waitFor();
    await look(page, 'admin-quarantine');
    await page.getByRole('button', { name: 'Scarta' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Scarta' }).click();
    await page.getByRole('cell', { name: 'Scartato' }).nth(1).waitFor();
  });
  await test('320 px: room', async () => {
    await page.setViewportSize({ width: 320, height: 640 });
    await page.goto(`${base}/#/room`);
    await page.locator('.queue').first().waitFor();
    await look(page, 'narrow-room');
    await page.setViewportSize({ width: 1440, height: 900 });
  });
}

async function partner(page) {
  await test('without the right to content the room runs and letters stay closed', async () => {
    await signIn(page, 'blind', 'password');
    await page.goto(`${base}/#/contact/${ct(11)}`);
    await page.getByText('Il tuo ruolo non comprende la lettura').waitFor();
    await page.getByRole('button', { name: 'Assegna' }).waitFor();
    await look(page, 'no-content');
  });
  await test('tokens are nothing for who only supervises', async () => {
    await page.goto(`${base}/#/admin/tokens`);
    await page.getByText('Il tuo ruolo non lo permette').waitFor();
    assert.equal(await page.getByRole('link', { name: 'Chiavi dei programmi' }).count(), 0);
  });
}

const flows = real ? [] : [operator, supervisor, partner];
for (const flow of flows) {
  const { context, close } = await openBrowser();
  context.setDefaultTimeout(PATIENCE_MS);
  const page = context.pages()[0] ?? (await context.newPage());
  watch(page, known);
  await flow(page);
  await close();
}
if (!real) {
  await faults();
  await composing();
} else {
  const { context, close } = await openBrowser();
  context.setDefaultTimeout(PATIENCE_MS);
  const page = context.pages()[0] ?? (await context.newPage());
  watch(page, known);
  await test('sign in', () => signIn(page, process.env['SPORTELLO_LOGIN'] ?? '', process.env['SPORTELLO_PASSWORD'] ?? ''));
  await everywhere(page);
  if (await page.getByRole('link', { name: 'Sala' }).count()) {
    for (const [hash, name] of [['#/room', 'room'], ['#/admin/operators', 'admin-operators'], ['#/admin/tokens', 'admin-tokens'], ['#/admin/quarantine', 'admin-quarantine']]) {
      await test(`view ${name}`, async () => {
        await page.goto(`${base}/${hash}`);
        await page.locator('h1').first().waitFor();
        await look(page, name);
      });
    }
  }
  await close();
}
await mock?.stop();
finish();
