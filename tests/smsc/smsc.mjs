// An SMSC on npm's smpp for the end-to-end tests. It says what it does as lines of JSON, and does what lines on its input say:
//   {"deliver": {"from", "to", "text"}}   a citizen's message      {"drop": true}   hangs up      {"lie": true}   a length that is none
//   {"hold": 3}   the next orders are answered when three wait for it      {"latin1": true}   data_coding 0 is ISO 8859-1
// A message may have "udh" and "ucs2", in hexadecimal, instead of a text, or "lost": true: the answer is taken for lost, the session
// breaks, and the message comes again on the next one. The receipt of a part with [tace] comes when told so: {"receipts": true}; one with
// [perso] says that it did not arrive.
import { createInterface } from 'node:readline';
import smpp from 'smpp';

const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const sessions = new Set();
const throttled = new Set();
const again = [];
const held = [];
const receipts = [];
let hold = 0;
let last = 0x3038;

const deliver = (session, message) => {
  const content = message.udh
    ? { esm_class: smpp.ESM_CLASS.UDH_INDICATOR, data_coding: 8, short_message: Buffer.from(message.udh + message.ucs2, 'hex') }
    : { short_message: message.text, data_coding: smpp.encodings.default === 'LATIN1' ? smpp.ENCODING.SMSC_DEFAULT : null };
  const address = { source_addr: message.from, source_addr_ton: 1, source_addr_npi: 1, destination_addr: message.to };
  session.deliver_sm({ ...address, ...content }, (answer) => {
    if (message.lost) {
      again.push({ ...message, lost: false });
      return session.destroy();
    }
    say({ acknowledged: answer.command_status, text: message.text ?? message.udh });
  });
};

const server = smpp.createServer((session) => {
  session.on('error', () => {});
  session.on('close', () => sessions.delete(session));
  session.on('bind_transceiver', (pdu) => {
    const good = pdu.system_id === 'sportello' && pdu.password === 'segreto';
    session.send(pdu.response({ command_status: good ? smpp.ESME_ROK : smpp.ESME_RBINDFAIL }));
    if (good) {
      sessions.add(session);
      say({ bound: pdu.interface_version });
      for (const message of again.splice(0)) deliver(session, message);
    }
  });
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => {
    session.send(pdu.response());
    session.close();
  });
  session.on('submit_sm', (pdu) => {
    if (hold === 0) return answer(pdu);
    held.push(pdu);
    say({ held: held.length });
    if (held.length >= hold) {
      hold = 0;
      held.splice(0).forEach(answer);
    }
  });
  const answer = (pdu) => {
    const text = pdu.short_message.message;
    if (text.includes('[piano]') && !throttled.has(text)) {
      throttled.add(text);
      say({ throttled: text });
      return session.send(pdu.response({ command_status: smpp.ESME_RTHROTTLED }));
    }
    if (text.includes('[rifiuta]')) {
      return session.send(pdu.response({ command_status: smpp.ESME_RINVDSTADR }));
    }
    const id = ++last;
    // the answer in hexadecimal, the receipt in decimal: as real ones do
    session.send(pdu.response({ message_id: id.toString(16).toUpperCase().padStart(8, '0') }));
    const parts = pdu.short_message.udh?.map((element) => [...element]) ?? [];
    say({ submitted: { from: pdu.source_addr, to: pdu.destination_addr, text, coding: pdu.data_coding, parts } });
    const end = text.includes('[perso]') ? 'stat:UNDELIV err:027' : 'stat:DELIVRD err:000';
    const receipt = () => session.deliver_sm({
      source_addr: pdu.destination_addr, destination_addr: pdu.source_addr, esm_class: smpp.ESM_CLASS.MC_DELIVERY_RECEIPT,
      short_message: `id:${String(id).padStart(10, '0')} sub:001 dlvrd:001 submit date:2601311200 done date:2601311201 ${end} text:`,
    });
    if (text.includes('[tace]')) return receipts.push(receipt);
    if (pdu.registered_delivery & 1) receipt();
  };
});

createInterface({ input: process.stdin }).on('line', (line) => {
  const { deliver: message, drop, lie, hold: many, latin1, receipts: late } = JSON.parse(line);
  if (late) receipts.splice(0).forEach((receipt) => receipt());
  if (latin1) smpp.encodings.default = 'LATIN1';
  hold = many ?? hold;
  for (const session of sessions) {
    if (message) deliver(session, message);
    if (drop) session.destroy();
    if (lie) session.socket.write(Buffer.from('ffffffff000000050000000000000001', 'hex'));
  }
}).on('close', () => process.exit());

server.listen(0, '127.0.0.1', () => say({ port: server.address().port }));
