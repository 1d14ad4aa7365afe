// The scripted world of the mock: one town, six queues, three people, contacts in every state.

const at = (minutes) => new Date(Date.now() + minutes * 60_000).toISOString();
const id = (prefix, number) => `${prefix}_${number.toString(16).padStart(32, '0')}`;
const OP = id('op', 1);
const CHIEF = id('op', 2);

function contact(number, rest) {
  return {
    id: id('ct', number), conversation: id('cv', number), administration: 'comune', office: 'tributi-ufficio', queue: 'tributi', channel: 'email',
    mode: 'deferrable', direction: 'inbound', state: 'active', version: 3, filed_at: at(-95), queued_at: at(-95), due: at(145), identity: 'claimed', language: 'it',
    returns: 0, transfers: 0, ...rest,
  };
}

export function script() {
  const mine = { owner: OP, owner_name: 'Anna Bianchi' };
  const other = { owner: id('op', 3), owner_name: 'Marco Verdi' };
  const contacts = [
    contact(1, { ...mine, subject: 'Riduzione TARI per nucleo con un solo componente: quali documenti servono?', citizen: 'Giulia Rossi', identity: 'verified', case: { number: '2026/0012345', deadline: at(60 * 24 * 12) } }),
    contact(2, { ...mine, subject: 'Carta d’identità elettronica, appuntamento', citizen: 'Paolo Esposito', queue: 'anagrafe', office: 'anagrafe-ufficio', due: at(-22), untouched_until: at(11) }),
    contact(3, { ...mine, subject: 'Cambio di residenza', citizen: '+39 333 000 1122', channel: 'sms', queue: 'anagrafe', office: 'anagrafe-ufficio', due: at(38), sms: { price_per_part: '0.045', currency: 'EUR' } }),
    contact(4, { ...mine, subject: 'Ricorso avverso avviso di accertamento', citizen: 'Studio Ferri', state: 'pending', pending_on: 'office', back_after: at(60 * 24), due: at(60 * 30) }),
    contact(5, { ...mine, subject: 'Iscrizione asilo nido', citizen: 'Elena Conti', state: 'wrap_up', channel: 'webchat', mode: 'live', queue: 'scuola', office: 'scuola-ufficio', wrap_up_until: at(2) }),
    contact(6, { state: 'offered', ...mine, ordinal: 1, channel: 'webchat', mode: 'live', subject: 'Chat dal sito: pagamento mensa', citizen: 'Sara Greco', queue: 'scuola', office: 'scuola-ufficio', due: at(1), language: 'it', filed_at: at(-1) }),
    contact(7, { state: 'queued', subject: 'Informazioni IMU seconda casa', citizen: 'Luca Marino', due: at(-14), filed_at: at(-254), returns: 6, escalated: true }),
    contact(8, { state: 'queued', subject: 'Rateizzazione avviso bonario', citizen: 'Maria Gallo', due: at(26), filed_at: at(-214) }),
    contact(9, { state: 'queued', subject: 'Certificato di nascita', citizen: 'Davide Costa', queue: 'anagrafe', office: 'anagrafe-ufficio', due: at(170), filed_at: at(-70) }),
    contact(10, { state: 'queued', subject: 'Anfrage Wohnsitz', citizen: 'Hans Gruber', queue: 'anagrafe', office: 'anagrafe-ufficio', language: 'de', due: at(200), filed_at: at(-40), channel: 'sms' }),
    contact(11, { ...other, subject: 'Mensa scolastica: intolleranza', citizen: 'Irene Fontana', queue: 'scuola', office: 'scuola-ufficio', due: at(55) }),
    contact(12, { ...other, state: 'pending', pending_on: 'citizen', subject: 'Contributo affitto', citizen: 'Omar Haddad', queue: 'sociale', office: 'servizi-sociali', due: at(900) }),
    contact(13, { ...mine, state: 'closed', subject: 'Duplicato tessera elettorale', citizen: 'Rosa Bruno', queue: 'anagrafe', office: 'anagrafe-ufficio', outcome: { resolution: 'resolved', topic: 'elettorale' }, filed_at: at(-1500) }),
    contact(14, { ...mine, conversation: id('cv', 1), state: 'closed', subject: 'Riduzione TARI', citizen: 'Giulia Rossi', outcome: { resolution: 'no_answer' }, filed_at: at(-60 * 24 * 9) }),
    contact(15, { state: 'queued', subject: 'Seconda risposta da smistare', citizen: 'Nino Serra', due: at(90), filed_at: at(-20) }),
    contact(16, { ...mine, channel: 'webchat', mode: 'live', subject: 'Chat dal sito: mensa scolastica', citizen: 'Bruno Leone', queue: 'scuola', office: 'scuola-ufficio', due: at(2), filed_at: at(-3) }),
  ];
  contacts[0].continues = id('ct', 14);
  const message = (number, of, rest) => ({ kind: 'message', id: id('ms', number), contact: id('ct', of), direction: 'inbound', channel: 'email', at: at(-95), filed_at: at(-95), from: { address: 'giulia.rossi@example.org', name: 'Giulia Rossi' }, to: [{ address: 'tributi@comune.example.it' }], text: '', has_html: false, attachments: [], has_raw: true, ...rest });
  const entries = [
    message(1, 14, { at: at(-60 * 24 * 9), filed_at: at(-60 * 24 * 9), subject: 'Riduzione TARI', text: 'Buongiorno, è prevista una riduzione della TARI per chi vive da solo?\nGrazie, Giulia Rossi' }),
    message(2, 14, { direction: 'outbound', at: at(-60 * 24 * 8), filed_at: at(-60 * 24 * 8), author: OP, author_name: 'Anna Bianchi', to: [{ address: 'giulia.rossi@example.org' }], subject: 'Re: Riduzione TARI', text: 'Gentile signora Rossi,\nsì, la riduzione è del 30%. Le serve il modulo allegato e un documento d’identità.\n\nAnna Bianchi – Ufficio Tributi', delivery: 'delivered', attachments: [{ index: 0, name: 'modulo-riduzione-tari.pdf', media_type: 'application/pdf', size: 184_320 }] }),
    message(3, 1, { subject: 'Riduzione TARI per nucleo con un solo componente: quali documenti servono?', text: 'Buongiorno,\nho compilato il modulo ma non capisce quale ricevuta allegare: quella di https://www.agenziaentrate.gov.it va bene?\n\nAllego la visura.\nGiulia Rossi\n\nIl giorno 15 nov 2026 Ufficio Tributi ha scritto:\n> Gentile signora Rossi,\n> sì, la riduzione è del 30%.', has_html: true, attributes: { attachments_omitted: '2', modulo_web: 'F24', reply_to: 'caf@example.org' }, attachments: [{ index: 0, name: 'visura catastale.pdf', media_type: 'application/pdf', size: 1_240_000 }] }),
    { kind: 'note', id: id('nt', 1), contact: id('ct', 1), at: at(-60), author: CHIEF, author_name: 'Carla Neri', text: 'La visura è aggiornata: manca solo la dichiarazione sostitutiva. Vedi la delibera del 3 marzo.' },
    message(4, 1, { direction: 'outbound', at: at(-30), filed_at: at(-30), author: OP, author_name: 'Anna Bianchi', to: [{ address: 'giulia.rossi@example.org' }], subject: 'Re: Riduzione TARI', text: 'Gentile signora Rossi,\nla ricevuta va bene. Ci mandi anche la dichiarazione sostitutiva.', delivery: 'bounced', failure: '5.1.1' }),
    message(5, 2, { from: { address: 'paolo@example.org', name: 'Paolo Esposito' }, text: 'Buongiorno, come prenoto per la carta d’identità?' }),
    message(6, 3, { channel: 'sms', from: { address: '+393330001122' }, text: 'Ho cambiato casa, cosa devo fare?', has_raw: false }),
    message(7, 4, { text: 'Si trasmette ricorso.' }),
    message(8, 5, { channel: 'webchat', text: 'Grazie, arrivederci!', has_raw: false }),
    message(9, 6, { channel: 'webchat', from: { address: 'chat', name: 'Sara Greco' }, text: 'Salve, ho pagato due volte la mensa.', has_raw: false }),
    message(16, 16, { channel: 'webchat', at: at(-3), filed_at: at(-3), from: { address: 'chat', name: 'Bruno Leone' }, text: 'Buongiorno, <b>chi</b> paga la mensa a novembre?', has_raw: false }),
    message(17, 16, { channel: 'webchat', direction: 'outbound', at: at(-2), filed_at: at(-2), author: OP, author_name: 'Anna Bianchi', to: [{ address: 'chat' }], text: 'Buongiorno, controllo subito.', delivery: 'delivered', has_raw: false }),
    message(18, 3, { channel: 'sms', direction: 'outbound', at: at(-4), filed_at: at(-4), author: OP, author_name: 'Anna Bianchi', to: [{ address: '+393330001122' }], text: 'Serve il modulo di residenza.', delivery: 'unknown', can_settle: true, has_raw: false }),
    message(10, 7, { text: 'Quanto pago?' }),
  ];
  const queue = (queueId, name, office, closed = false, notice) => ({ id: queueId, name, office, closed, ...(notice ? { notice } : {}) });
  const plan = {
    administrations: [{
      id: 'comune', name: 'Comune di Borgo Marina', languages: ['it', 'de'],
      topics: [{ id: 'tari', name: 'TARI' }, { id: 'imu', name: 'IMU' }, { id: 'elettorale', name: 'Tessera elettorale' }],
      offices: [{ id: 'tributi-ufficio', name: 'Ufficio Tributi', restricted: false }, { id: 'anagrafe-ufficio', name: 'Servizi demografici', restricted: false }, { id: 'scuola-ufficio', name: 'Servizi scolastici', restricted: false }, { id: 'servizi-sociali', name: 'Servizi sociali', restricted: true }],
      queues: [queue('tributi', 'Tributi', 'tributi-ufficio'), queue('anagrafe', 'Anagrafe', 'anagrafe-ufficio'), queue('scuola', 'Scuola e mensa', 'scuola-ufficio', true, 'Lo sportello riapre domani alle 9.'), queue('sociale', 'Segretariato sociale', 'servizi-sociali')],
    }],
    presence_reasons: ['screen_break', 'lunch', 'training', 'meeting', 'back_office', 'missed'],
    reject_reasons: ['busy', 'not_competent', 'conflict', 'technical', 'other'],
    transfer_reasons: ['wrong_queue', 'competence', 'language', 'end_of_shift', 'other'],
  };
  const person = (login, operator, name, grants) => ({ login, password: 'password', presence: { state: 'ready', connected: true, since: at(-42) }, me: { operator, login, name, language: 'it', pool: 'borgo', grants } });
  const all = { pool: 'borgo' };
  const profile = (skills, queues = []) => ({ administrations: ['comune'], offices: ['tributi-ufficio'], skills, languages: ['it'], channels: [], queues, capacity: { live_units: 100, desk_slots: 2, channels: {} } });
  const grant = (role, content = true) => ({ role, scope: all, content });
  return {
    seq: 1000, journal: [], unread: new Map(), contacts, entries, plan, openContacts: { [id('cv', 16)]: [id('ct', 11)] },
    people: [
      person('op', OP, 'Anna Bianchi', [grant('operator')]),
      person('capo', CHIEF, 'Carla Neri', [grant('operator'), grant('supervisor'), grant('admin')]),
      person('blind', id('op', 5), 'Partner Sala', [grant('supervisor', false)]),
    ],
    colleagues: [{ operator: id('op', 3), name: 'Marco Verdi', state: 'ready', administrations: ['comune'] }, { operator: id('op', 4), name: 'Lucia Serra', state: 'away', administrations: ['comune'] }, { operator: CHIEF, name: 'Carla Neri', state: 'ready', administrations: ['comune'] }],
    room: [
      { operator: OP, name: 'Anna Bianchi', state: 'ready', connected: true, since: at(-42), live_used: 33, live_units: 100, desk_used: 2, desk_slots: 2, holds: 2 },
      { operator: id('op', 3), name: 'Marco Verdi', state: 'ready', connected: true, since: at(-130), live_used: 0, live_units: 100, desk_used: 1, desk_slots: 2, holds: 1 },
      { operator: id('op', 4), name: 'Lucia Serra', state: 'away', reason: 'screen_break', connected: true, since: at(-9), live_used: 0, live_units: 100, desk_used: 0, desk_slots: 2, holds: 0 },
      { operator: id('op', 6), name: 'Piero Longo', state: 'offline', connected: false, since: at(-600), live_used: 0, live_units: 100, desk_used: 0, desk_slots: 2, holds: 0 },
    ],
    accounts: [
      { operator: OP, login: 'op', name: 'Anna Bianchi', enabled: true, profile: profile({ tributi: 8, spid: 5 }), grants: [grant('operator')] },
      { operator: CHIEF, login: 'capo', name: 'Carla Neri', enabled: true, profile: profile({ tributi: 6 }), grants: [grant('operator'), grant('supervisor'), grant('admin')] },
      { operator: id('op', 6), login: 'longo', name: 'Piero Longo', enabled: false, profile: profile({ anagrafe: 7 }, ['anagrafe']), grants: [grant('operator')] },
    ],
    tokens: [{ name: 'crm', account: 'crm', created_at: at(-60 * 24 * 30) }],
    quarantine: [{ id: 7, administration: 'comune', source: 'imap', key: 'tributi', reason: 'nesting deeper than 100 parts', at: at(-180), state: 'held' }, { id: 6, source: 'inbound', key: 'borgo.comune.sms', reason: 'not a CloudEvent: missing `type`', at: at(-900), state: 'discarded' }],
  };
}
