// The chat widget in a real browser, on a page of another site with a strict policy, against the small server of chat-mock.mjs.
// SPORTELLO_SHOTS keeps a picture of each state.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { openBrowser } from './browser.mjs';
import { LIMITS, startChatMock } from './chat-mock.mjs';
import { finish, look as lookAt, PATIENCE_MS, sidewaysInChat, test, until, watch } from './story.mjs';

const BUDGET_BYTES = 25_000;
const mock = await startChatMock();
/** What the page may ask for: the mock, the site it stands on, and what it makes itself. */
const known = [mock.url, mock.site, mock.url.replace('http', 'ws'), 'blob:', 'data:'];

const look = (page, name) => lookAt(page, `chat-${name}`, sidewaysInChat);
/** What is focused, through the shadow root: its accessible text, roughly. */
const focused = (page) => page.evaluate(() => {
  const inside = document.activeElement?.shadowRoot?.activeElement;
  return inside ? (inside.getAttribute('aria-label') ?? inside.labels?.[0]?.textContent ?? inside.textContent) : document.activeElement?.tagName;
});
const frames = (type) => mock.last().frames.filter((frame) => frame.type === type);
const lines = (page) => page.locator('sportello-chat .line .text').allTextContents();
const kept = (page) => page.evaluate(() => Object.keys(localStorage).filter((key) => key.startsWith('sportello.chat')));

/** A fresh citizen on a fresh page. */
async function visit(body, { path = '/', ...options } = {}) {
  const { context, close } = await openBrowser({ viewport: { width: 1100, height: 760 }, reducedMotion: 'reduce', ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = context.pages()[0] ?? (await context.newPage());
  watch(page, known);
  await page.goto(mock.site + path);
  try {
    await body(page, context);
  } finally {
    await close();
  }
}
async function begin(page, more = {}) {
  await page.getByRole('button', { name: 'Apri la chat' }).click();
  await page.getByLabel('Nome e cognome').fill('Rosa Bruno');
  if (more.email) await page.getByLabel('Email').fill(more.email);
  await page.getByLabel('Argomento').selectOption('tari');
  await page.getByLabel('Ho letto').check();
  await page.getByRole('button', { name: 'Inizia la conversazione' }).click();
  await page.getByLabel('Il tuo messaggio').waitFor();
  await page.getByText('Scrivi la tua domanda').waitFor();
  return mock.last();
}
async function write(page, text) {
  await page.getByLabel('Il tuo messaggio').fill(text);
  await page.getByLabel('Il tuo messaggio').press('Enter');
}

await test(`the script is at most ${BUDGET_BYTES} bytes compressed`, async () => {
  const size = gzipSync(await readFile(new URL('../dist/chat/widget.js', import.meta.url)), { level: 9 }).length;
  console.log(`     ${size} bytes`);
  assert.ok(size <= BUDGET_BYTES, `${size} bytes`);
});

await visit(async (page) => {
  await test('nothing is asked of the server before the chat is opened', async () => {
    await page.getByRole('button', { name: 'Apri la chat' }).waitFor();
    assert.deepEqual([...new Set(mock.log.map((each) => each.path))], ['/chat/widget.js']);
    assert.deepEqual(await kept(page), []);
    await look(page, 'launcher');
  });
  await test('the whole way by keyboard alone', async () => {
    const { keyboard } = page;
    for (let tabs = 0; !(await focused(page)).startsWith('Apri la chat'); tabs += 1) { assert.ok(tabs < 5); await keyboard.press('Tab'); }
    await keyboard.press('Enter');
    await page.getByLabel('Nome e cognome').waitFor();
    await until('focus in the form', async () => (await focused(page)) === 'Nome e cognome');
    await look(page, 'start');
    await keyboard.press('Enter');
    await page.getByText('Scrivi il tuo nome.').waitFor();
    await look(page, 'start-errors');
    assert.equal(await focused(page), 'Nome e cognome');
    await keyboard.type('Rosa Bruno');
    await keyboard.press('Tab');
    await keyboard.type('rosa@example.org');
    await keyboard.press('Tab');
    await keyboard.press('ArrowDown');
    for (let tabs = 0; !(await focused(page)).startsWith('Ho letto'); tabs += 1) { assert.ok(tabs < 4); await keyboard.press('Tab'); }
    await keyboard.press('Space');
    await keyboard.press('Enter');
    await page.getByText('Scrivi la tua domanda').waitFor();
    await until('focus in the composer', async () => (await focused(page)) === 'Il tuo messaggio');
    assert.deepEqual(mock.last().wish, { name: 'Rosa Bruno', email: 'rosa@example.org', topic: 'tari', language: 'it', privacy_accepted: true });
    await look(page, 'idle');
    await keyboard.type('Buongiorno,');
    await keyboard.press('Shift+Enter');
    await keyboard.type('quanto pago di TARI?');
    await keyboard.press('Enter');
    await page.getByText('Sei in coda: posizione 3.').waitFor();
    assert.deepEqual(await lines(page), ['Buongiorno,\nquanto pago di TARI?']);
    assert.equal(await focused(page), 'Il tuo messaggio');
    await page.getByRole('log').getByText('Inviato').waitFor();
    await look(page, 'waiting');
  });
  await test('marks: sent, delivered, read; and typing both ways', async () => {
    const session = mock.last();
    const { seq } = session.journal.at(-1);
    mock.operator.take(session, 'Anna Bianchi');
    await page.getByText('Ti risponde Anna Bianchi.').waitFor();
    mock.operator.mark(session, { delivered: seq, read: 0 });
    await page.getByRole('log').getByText('Consegnato').waitFor();
    mock.operator.mark(session, { delivered: seq, read: seq });
    await page.getByRole('log').getByText('Letto', { exact: true }).waitFor();
    mock.operator.tell(session, { type: 'typing', name: 'Anna' });
    await page.getByText('Anna sta scrivendo…').waitFor();
    await look(page, 'typing');
    mock.operator.say(session, 'Buongiorno signora, controllo subito la sua posizione.');
    await page.getByText('Anna sta scrivendo…').waitFor({ state: 'hidden' });
    await page.keyboard.type('grazie');
    await until('typing told', () => frames('typing').some((frame) => frame.on));
    await page.getByLabel('Il tuo messaggio').fill('');
  });
  await test('what is seen is told, and only then', async () => {
    const session = mock.last();
    await until('read told', () => frames('read').at(-1)?.seq === session.journal.at(-1).seq);
    await page.keyboard.press('Escape');
    await until('focus back', async () => (await focused(page))?.startsWith('Apri la chat'));
    const before = frames('read').length;
    mock.operator.say(session, 'Ecco: 142 euro entro il 30 novembre.');
    await page.getByRole('button', { name: 'Messaggi nuovi: 1' }).waitFor();
    await look(page, 'badge');
    assert.equal(frames('read').length, before);
    await page.keyboard.press('Enter');
    await until('read told', () => frames('read').length === before + 1);
    assert.equal(await page.getByRole('button', { name: 'Messaggi nuovi' }).count(), 0);
  });
  await test('markup of the other side is text, and addresses are safe links', async () => {
    const nasty = '<script>document.title="BROKEN"</script><img src=x onerror="document.title=\'BROKEN\'"> vedi https://www.example.org/tari?a=1&b=<b>2</b> o javascript:alert(1)';
    mock.operator.say(mock.last(), nasty);
    await write(page, '<script>document.title="BROKEN"</script> & <b>grassetto</b>');
    await page.getByRole('log').getByText('grassetto').waitFor();
    const shown = await lines(page);
    assert.equal(shown.at(-2), nasty);
    assert.equal(shown.at(-1), '<script>document.title="BROKEN"</script> & <b>grassetto</b>');
    assert.equal(await page.locator('sportello-chat .log :is(script, img, b)').count(), 0);
    assert.notEqual(await page.title(), 'BROKEN');
    const link = page.getByRole('log').getByRole('link');
    assert.equal(await link.count(), 1);
    assert.match(await link.getAttribute('rel'), /noopener/);
    assert.equal(await link.getAttribute('href'), 'https://www.example.org/tari?a=1&b=');
    await look(page, 'talk');
  });
  await test('emoji by keyboard', async () => {
    await page.getByRole('button', { name: 'Emoji' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('group', { name: 'Emoji' }).waitFor();
    await look(page, 'emoji');
    await page.keyboard.press('Escape');
    assert.equal(await focused(page), 'Emoji');
    assert.ok(await page.getByRole('dialog').isVisible());
    await page.keyboard.press('Enter');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    assert.equal(await page.getByLabel('Il tuo messaggio').inputValue(), '😕');
    await page.keyboard.press('Enter');
    await until('emoji sent', () => mock.last().journal.at(-1).text === '😕');
  });
  await test('attachments both ways, with their limits', async () => {
    const input = page.locator('sportello-chat input[type=file]');
    const file = (name, size) => ({ name, mimeType: 'text/plain', buffer: Buffer.alloc(size, 'a') });
    await input.setInputFiles([file('visura è.pdf', 900), file('grande.pdf', LIMITS.attachment_bytes + 1)]);
    await page.getByText('Il file è troppo grande: al massimo 50 kB.').waitFor();
    await input.setInputFiles({ ...file('virus.exe', 10), mimeType: 'application/x-msdownload' });
    await page.getByText('Questo tipo di file non è ammesso.').waitFor();
    await input.setInputFiles(file('virus.exe', 10));
    await page.getByRole('button', { name: 'Togli virus.exe' }).waitFor();
    await page.getByText('Questo tipo di file non è ammesso.').waitFor();
    await look(page, 'attachments');
    await page.getByRole('button', { name: 'Togli virus.exe' }).click();
    await page.getByLabel('Il tuo messaggio').press('Enter');
    await until('file sent', () => mock.last().journal.at(-1).files.length === 1);
    assert.equal(mock.last().journal.at(-1).files[0].name, 'visura è.pdf');
    mock.operator.say(mock.last(), 'Il modulo:', { files: [mock.operator.sendFile(mock.last(), 'modulo TARI.txt', 'contenuto del modulo')] });
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Scarica modulo TARI.txt' }).click()]);
    assert.equal(download.suggestedFilename(), 'modulo TARI.txt');
    assert.equal(await readFile(await download.path(), 'utf8'), 'contenuto del modulo');
    await look(page, 'files');
  });
  await test('a silent citizen is warned', async () => {
    mock.operator.tell(mock.last(), { type: 'warning', seconds: 60 });
    await page.getByRole('alert').filter({ hasText: 'Ci sei ancora?' }).waitFor();
    await page.getByText(/si chiude tra .*0:5\d/).waitFor();
    await look(page, 'warning');
    await write(page, 'Sì, ci sono');
    await page.getByText('Ci sei ancora?').waitFor({ state: 'hidden' });
  });
  await test('a message that is too long says so while it is written', async () => {
    await page.getByLabel('Il tuo messaggio').fill('a'.repeat(LIMITS.message_chars + 5));
    await page.getByText('Caratteri rimasti: -5').waitFor();
    assert.ok(await page.getByRole('button', { name: 'Invia', exact: true }).isDisabled());
    await page.getByLabel('Il tuo messaggio').fill('');
  });
  await test('the transcript is asked for, and the citizen ends', async () => {
    await page.getByRole('button', { name: 'Ricevi la trascrizione' }).click();
    assert.equal(await page.getByRole('form', { name: 'Ricevi la trascrizione' }).getByLabel('Email').inputValue(), 'rosa@example.org');
    await look(page, 'transcript');
    mock.control.refuseTranscript = 'too_many_addresses';
    await page.getByRole('button', { name: 'Richiedi' }).click();
    await page.getByText('La trascrizione è già stata chiesta per due altri indirizzi.').waitFor();
    await look(page, 'transcript-refused');
    mock.control.refuseTranscript = undefined;
    await page.getByRole('button', { name: 'Ricevi la trascrizione' }).click();
    await page.getByRole('button', { name: 'Richiedi' }).click();
    await page.getByText('La trascrizione arriverà per email.').waitFor();
    assert.deepEqual(frames('transcript').map((frame) => frame.email), ['rosa@example.org', 'rosa@example.org']);
    await page.getByRole('button', { name: 'Termina' }).focus();
    await page.keyboard.press('Enter');
    await look(page, 'end-ask');
    await page.keyboard.press('Escape');
    await until('focus back', async () => (await focused(page)) === 'Termina');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Enter');
    await page.getByText('Hai terminato la conversazione.').waitFor();
    await look(page, 'ended');
    assert.deepEqual(await kept(page), []);
    await page.getByRole('button', { name: 'Nuova conversazione' }).click();
    await until('focus in the form', async () => (await focused(page)) === 'Nome e cognome');
    assert.deepEqual([await page.getByLabel('Nome e cognome').inputValue(), await page.getByLabel('Ho letto').isChecked()], ['', false]);
  });
});

await visit(async (page, context) => {
  let session;
  await test('two tabs are one conversation', async () => {
    session = await begin(page, { email: 'rosa@example.org' });
    await write(page, 'dalla prima');
    const second = await context.newPage();
    watch(second, known);
    await second.goto(mock.site);
    await second.getByRole('button', { name: 'Apri la chat' }).click();
    await second.getByRole('log').getByText('dalla prima').waitFor();
    await write(second, 'dalla seconda');
    await page.getByRole('log').getByText('dalla seconda').waitFor();
    mock.operator.say(session, 'a tutte e due');
    for (const tab of [page, second]) {
      await tab.getByRole('log').getByText('a tutte e due').waitFor();
      assert.deepEqual(await lines(tab), ['dalla prima', 'dalla seconda', 'a tutte e due']);
    }
    assert.equal(session, mock.last());
    await second.close();
  });
  await test('a tab that waits at the form follows the one that begins', async () => {
    mock.operator.end(session);
    await page.getByText('L’ufficio ha chiuso la conversazione.').waitFor();
    await page.getByRole('button', { name: 'Nuova conversazione' }).click();
    const second = await context.newPage();
    watch(second, known);
    await second.goto(mock.site);
    await second.getByRole('button', { name: 'Apri la chat' }).click();
    await second.getByLabel('Nome e cognome').waitFor();
    await page.bringToFront();
    await page.getByRole('button', { name: 'Riduci la chat' }).click();
    session = await begin(page, { email: 'rosa@example.org' });
    await second.getByLabel('Il tuo messaggio').waitFor();
    await second.close();
  });
  await test('a reload, and another page, take the conversation up where it was', async () => {
    await write(page, 'prima del ricarico');
    await page.getByRole('log').getByText('Inviato').waitFor();
    mock.operator.mark(session, { delivered: session.journal[0].seq, read: session.journal[0].seq });
    await page.getByLabel('Il tuo messaggio').fill('metà frase');
    await page.reload();
    await page.getByRole('log').getByText('prima del ricarico').waitFor();
    await page.getByRole('log').getByText('Letto', { exact: true }).waitFor();
    assert.equal(await page.getByLabel('Il tuo messaggio').inputValue(), 'metà frase');
    assert.equal(await focused(page), 'BODY');
    await page.getByRole('link', { name: 'Altra pagina' }).click();
    await page.waitForURL('**/other');
    await page.getByRole('log').getByText('prima del ricarico').waitFor();
    assert.deepEqual(await lines(page), ['prima del ricarico']);
    await page.getByLabel('Il tuo messaggio').fill('');
  });
  await test('the line is cut in the middle: nothing is lost and nothing comes twice', async () => {
    mock.control.deaf = true;
    mock.cut();
    await page.getByText('Connessione assente.').waitFor();
    await write(page, 'senza linea uno');
    await write(page, 'senza linea due');
    mock.operator.say(session, 'scritto durante il guasto');
    await page.getByRole('log').getByText('In attesa di invio').first().waitFor();
    await look(page, 'offline');
    assert.equal((await kept(page)).filter((key) => key.includes('.unsent.')).length, 2);
    await page.reload();
    await page.getByRole('log').getByText('senza linea due').waitFor();
    assert.equal(session.frames.filter((frame) => frame.text?.startsWith('senza')).length, 0);
    mock.control.deaf = false;
    await page.evaluate(() => dispatchEvent(new Event('online')));
    await page.getByRole('log').getByText('scritto durante il guasto').waitFor();
    await until('all sent', () => session.journal.length === 4);
    await page.getByRole('log').getByText('In attesa di invio').first().waitFor({ state: 'detached' });
    assert.deepEqual(await lines(page), ['prima del ricarico', 'scritto durante il guasto', 'senza linea uno', 'senza linea due']);
    assert.equal((await kept(page)).filter((key) => key.includes('.unsent.')).length, 0);
  });
  await test('an acknowledgement that is lost does not double the message', async () => {
    mock.control.swallow = 1;
    await write(page, 'ingoiato');
    await until('sent once', () => session.frames.some((frame) => frame.text === 'ingoiato'));
    mock.cut();
    await until('sent again', () => session.frames.filter((frame) => frame.text === 'ingoiato').length === 2);
    await until('durable', () => session.journal.at(-1).text === 'ingoiato');
    const ids = new Set(session.frames.filter((frame) => frame.text === 'ingoiato').map((frame) => frame.id));
    assert.equal(ids.size, 1);
    assert.equal((await lines(page)).filter((text) => text === 'ingoiato').length, 1);
  });
  await test('the browser knows of the lost network and of its return', async () => {
    await context.setOffline(true);
    await page.getByText('Connessione assente.').waitFor();
    mock.operator.say(session, 'dopo il buio');
    await context.setOffline(false);
    await page.getByRole('log').getByText('dopo il buio').waitFor();
  });
  await test('an abandoned chat is taken up by writing', async () => {
    mock.operator.end(session, 'abandoned');
    await page.getByText('La chat era rimasta scollegata.').waitFor();
    await page.getByRole('button', { name: 'Nuova conversazione' }).waitFor();
    await look(page, 'abandoned');
    await write(page, 'eccomi di nuovo');
    await page.getByText('Sei in coda: posizione 3.').waitFor();
    assert.equal((await lines(page)).at(-1), 'eccomi di nuovo');
  });
  await test('nobody is there: the citizen waits on, or leaves a message', async () => {
    mock.operator.tell(session, { type: 'unattended' });
    await page.getByText('Nessun operatore è disponibile.').waitFor();
    await look(page, 'unattended');
    await page.getByRole('button', { name: 'Resto in attesa' }).click();
    await page.getByText('Nessun operatore è disponibile.').waitFor({ state: 'hidden' });
    mock.operator.tell(session, { type: 'unattended', notice: 'Riapriamo <b>lunedì</b>\nalle 9.' });
    await page.getByText('Riapriamo <b>lunedì</b>').waitFor();
    await look(page, 'notice');
    mock.operator.tell(session, { type: 'unattended' });
    await page.getByText('Riapriamo').waitFor({ state: 'hidden' });
    await page.getByRole('button', { name: 'Lascia un messaggio' }).click();
    const form = page.getByRole('form', { name: 'Lascia un messaggio' });
    assert.equal(await form.getByLabel('Email').inputValue(), 'rosa@example.org');
    assert.match(await form.getByLabel('Messaggio').inputValue(), /senza linea uno/);
    await look(page, 'leave');
    await form.getByLabel('Messaggio').fill('Richiamatemi per la TARI.');
    await form.getByRole('button', { name: 'Lascia il messaggio' }).click();
    await page.getByText('Abbiamo ricevuto il tuo messaggio.').waitFor();
    await look(page, 'left');
    assert.deepEqual(frames('leave_message').map(({ email, text }) => ({ email, text })), [{ email: 'rosa@example.org', text: 'Richiamatemi per la TARI.' }]);
    assert.deepEqual(await kept(page), []);
  });
});

await visit(async (page) => {
  await test('closed: a message is left at once', async () => {
    mock.control.open = false;
    mock.control.notice = 'Ufficio chiuso per <i>sciopero</i>: https://www.example.org';
    await page.getByRole('button', { name: 'Apri la chat' }).click();
    await page.getByText('In questo momento nessuno risponde').waitFor();
    await page.getByText('Ufficio chiuso per <i>sciopero</i>').waitFor();
    await look(page, 'closed');
    await page.getByRole('button', { name: 'Lascia il messaggio' }).click();
    await page.getByText('Scrivi un indirizzo email').waitFor();
    await page.getByLabel('Nome e cognome').fill('Rosa');
    await page.getByLabel('Email').fill('rosa@example.org');
    await page.getByLabel('Argomento').selectOption('anagrafe');
    await page.getByLabel('Messaggio').fill('Quando aprite?');
    await page.getByLabel('Ho letto').check();
    await page.getByRole('button', { name: 'Lascia il messaggio' }).click();
    await page.getByText('Abbiamo ricevuto il tuo messaggio.').waitFor();
    assert.equal(frames('leave_message')[0].text, 'Quando aprite?');
    Object.assign(mock.control, { open: true, notice: undefined });
  });
  await test('a server that is away at first', async () => {
    await page.evaluate(() => sessionStorage.clear());
    await page.reload();
    mock.control.failConfig = 1;
    await page.getByRole('button', { name: 'Apri la chat' }).click();
    await page.getByText('Il servizio non è disponibile').waitFor();
    await look(page, 'failed');
    await page.getByRole('button', { name: 'Riprova' }).click();
    await page.getByLabel('Nome e cognome').waitFor();
    mock.control.failConfig = 0;
  });
  await test('the language is changed in the form, by file, and nothing typed is lost', async () => {
    await page.getByLabel('Nome e cognome').fill('Rosa');
    await page.getByLabel('Lingua').selectOption('de');
    await page.getByLabel('Vor- und Nachname').waitFor();
    assert.equal(await page.getByLabel('Vor- und Nachname').inputValue(), 'Rosa');
    await look(page, 'german');
    for (const [language, label] of [['sl', 'Ime in priimek'], ['fr', 'Nom et prénom'], ['en', 'Name and surname'], ['it', 'Nome e cognome']]) {
      await page.locator('sportello-chat .language select').selectOption(language);
      await page.getByLabel(label).waitFor();
    }
  });
});

await visit(async (page) => {
  await test('a page in English speaks English; an old session that is over begins anew', async () => {
    await page.evaluate(() => localStorage.setItem('sportello.chat.demo.session', JSON.stringify({ token: 'gone', name: 'x', email: '', language: 'en' })));
    await page.reload();
    await page.getByRole('button', { name: 'Open the chat' }).click();
    await page.getByText('The previous conversation has ended.').waitFor();
    await look(page, 'english');
    assert.deepEqual(await kept(page), []);
  });
}, { path: '/?lang=en' });

await visit(async (page) => {
  await test('320 px: every state without sideways scrolling, the page behind at rest', async () => {
    await page.getByRole('button', { name: 'Apri la chat' }).click();
    await page.getByLabel('Nome e cognome').waitFor();
    await look(page, 'narrow-start');
    await page.getByRole('button', { name: 'Riduci la chat' }).click();
    const session = await begin(page);
    await write(page, `Una parola lunghissima: ${'precipitevolissimevolmente'.repeat(4)}`);
    mock.operator.take(session, 'Anna Bianchi');
    mock.operator.say(session, 'https://www.comune.example.it/servizi/tributi/tari/riduzioni/nucleo-con-un-solo-componente/modulo', { files: [mock.operator.sendFile(session, 'modulo-riduzione-tari-nucleo-con-un-solo-componente.pdf', 'x')] });
    await page.getByRole('button', { name: 'Scarica modulo' }).waitFor();
    mock.operator.tell(session, { type: 'unattended' });
    await page.getByText('Nessun operatore è disponibile.').waitFor();
    await look(page, 'narrow-talk');
    await page.getByRole('button', { name: 'Lascia un messaggio' }).click();
    await look(page, 'narrow-leave');
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Resto in attesa' }).click();
    await page.getByRole('button', { name: 'Termina' }).click();
    await look(page, 'narrow-end');
    for (let tabs = 0; tabs < 12; tabs += 1) {
      await page.keyboard.press('Tab');
      assert.ok(['SPORTELLO-CHAT', 'BODY'].includes(await page.evaluate(() => document.activeElement.tagName)), 'the focus left the open chat');
    }
  });
  await test('turned to landscape and back, the chat stays', async () => {
    await page.setViewportSize({ width: 640, height: 320 });
    await look(page, 'landscape');
    await page.setViewportSize({ width: 320, height: 640 });
    await page.getByRole('button', { name: 'Sì, termina' }).click();
    await page.getByText('Hai terminato la conversazione.').waitFor();
    await look(page, 'narrow-ended');
  });
}, { viewport: { width: 320, height: 640 } });

await visit(async (page) => {
  await test('forced colours', async () => {
    const session = await begin(page);
    await write(page, 'Buongiorno');
    mock.operator.say(session, 'Buongiorno a lei');
    await page.getByRole('log').getByText('Buongiorno a lei').waitFor();
    await look(page, 'forced-colours');
  });
}, { forcedColors: 'active' });

await visit(async (page) => {
  await test('motion is only for who wants it', async () => {
    const animation = () => page.evaluate(() => getComputedStyle(document.querySelector('sportello-chat').shadowRoot.querySelector('.panel')).animationName);
    await page.getByRole('button', { name: 'Apri la chat' }).click();
    assert.equal(await animation(), 'rise');
    await page.emulateMedia({ reducedMotion: 'reduce' });
    await page.getByRole('button', { name: 'Riduci la chat' }).click();
    await page.getByRole('button', { name: 'Apri la chat' }).click();
    assert.equal(await animation(), 'none');
  });
  await test('the demo page, under its own policy', async () => {
    await page.goto(`${mock.url}/chat`);
    await page.getByRole('heading', { name: 'Prova della chat' }).waitFor();
    await look(page, 'demo');
    await begin(page);
    await write(page, 'Dalla pagina di prova');
    await page.getByText('Sei in coda: posizione 3.').waitFor();
    await look(page, 'demo-open');
  });
}, { reducedMotion: 'no-preference' });

await mock.stop();
finish();
