// A letter's whole way against a real daemon, played by an operator, a colleague and a supervisor at three browsers. The Rust test
// beside it (tests/end_to_end/whole/browser.rs) is the citizen.
import assert from 'node:assert/strict';
import { finish, pause, signIn, step } from './people.mjs';
import { look, PATIENCE_MS } from './story.mjs';

const CARD = 'Carta d\'identità smarrita';
const TAX = 'Quanto pago di TARI?';

let anna, bruno, carla;
await step('anna and bruno begin their day, each gets what they can answer', async () => {
  anna = await signIn('anna');
  await anna.getByRole('button', { name: 'Diventa disponibile' }).click();
  await anna.locator('.contact', { hasText: CARD }).waitFor();
  bruno = await signIn('bruno');
  await bruno.getByRole('button', { name: 'Diventa disponibile' }).click();
  await bruno.locator('.contact', { hasText: TAX }).waitFor();
  assert.equal(await bruno.locator('.contact', { hasText: CARD }).count(), 0);
  assert.equal(await anna.locator('.contact', { hasText: TAX }).count(), 0);
  await look(anna, 'whole-list');
});
await step('anna opens the letter and answers with a file', async () => {
  await anna.locator('.contact', { hasText: CARD }).click();
  await anna.getByRole('log').getByText('come la rifaccio').waitFor();
  await look(anna, 'whole-conversation');
  await anna.getByLabel('Testo della risposta').fill('Gentile signore, porti due fototessere.');
  const bytes = Buffer.from(Array.from({ length: 3000 }, (_, number) => (number * 7) % 256));
  await anna.locator('input[type=file]').setInputFiles({ name: 'modulo.pdf', mimeType: 'application/pdf', buffer: bytes });
  await anna.locator('.composer .file', { hasText: 'modulo.pdf' }).waitFor();
  await look(anna, 'whole-composer');
  await anna.getByRole('button', { name: 'Invia', exact: true }).click();
  await anna.getByRole('log').getByText('porti due fototessere').waitFor();
  await anna.getByRole('log').getByText('Inviato', { exact: true }).first().waitFor();
  await look(anna, 'whole-replied');
});
await pause('replied');
await step('the citizen\'s answer turns up in the open conversation, though the daemon was killed meanwhile', async () => {
  await anna.getByRole('log').getByText('Ho capito, grazie mille').waitFor({ timeout: 2 * PATIENCE_MS });
  await look(anna, 'whole-answered');
});
await step('anna closes it with topic and resolution', async () => {
  await anna.getByRole('log').focus();
  await anna.keyboard.press('x');
  const dialog = anna.getByRole('dialog');
  await dialog.getByLabel('Perché ha scritto (facoltativo)').selectOption('carta-identita');
  await look(anna, 'whole-close');
  await dialog.getByRole('button', { name: 'Chiudi', exact: true }).click();
  await anna.getByText('Contatto chiuso.').first().waitFor();
  await anna.locator('.contact', { hasText: CARD }).waitFor({ state: 'detached' });
});
await step('bruno goes to lunch; carla gives his letter to anna', async () => {
  await bruno.locator('.presence').click();
  await bruno.getByRole('button', { name: 'Pranzo' }).click();
  await bruno.locator('.presence-away').waitFor();
  carla = await signIn('carla');
  await carla.getByRole('link', { name: 'Sala' }).click();
  const row = carla.locator('.grid tr', { hasText: TAX });
  await row.getByText('Bruno Gruber').waitFor();
  await look(carla, 'whole-room');
  await row.getByRole('button', { name: 'Riassegna' }).click();
  const dialog = carla.getByRole('dialog');
  const choice = await dialog.getByRole('combobox', { name: 'Operatore' }).locator('option', { hasText: 'Anna Rossi' }).getAttribute('value');
  await dialog.getByRole('combobox', { name: 'Operatore' }).selectOption(choice);
  await look(carla, 'whole-assign');
  await dialog.getByRole('button', { name: 'Assegna' }).click();
  await row.getByText('Anna Rossi').waitFor();
  await anna.locator('.contact', { hasText: TAX }).waitFor();
  await bruno.locator('.contact', { hasText: TAX }).waitFor({ state: 'detached' });
});
await finish();
