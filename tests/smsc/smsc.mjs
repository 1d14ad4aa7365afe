// An SMSC on npm's smpp for the end-to-end tests. It says what it does as lines of JSON, and does what lines on its input say:
//   {"deliver": {"from", "to", "text"}}   a citizen's message      {"drop": true}   hangs up      {"lie": true}   a length that is none
import { createInterface } from 'node:readline';
import smpp from 'smpp';

const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const sessions = new Set();
const throttled = new Set();
let last = 0x3038;

const server = smpp.createServer((session) => {
  session.on('error', () => {});
  session.on('close', () => sessions.delete(session));
  session.on('bind_transceiver', (pdu) => {
    const good = pdu.system_id === 'sportello' && pdu.password === 'segreto';
    session.send(pdu.response({ command_status: good ? smpp.ESME_ROK : smpp.ESME_RBINDFAIL }));
    if (good) {
      sessions.add(session);
      say({ bound: pdu.interface_version });
    }
  });
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => {
    session.send(pdu.response());
    session.close();
  });
  session.on('submit_sm', (pdu) => {
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
    if (pdu.registered_delivery & 1) {
      session.deliver_sm({
        source_addr: pdu.destination_addr, destination_addr: pdu.source_addr, esm_class: smpp.ESM_CLASS.MC_DELIVERY_RECEIPT,
        short_message: `id:${String(id).padStart(10, '0')} sub:001 dlvrd:001 submit date:2601311200 done date:2601311201 stat:DELIVRD err:000 text:`,
      });
    }
  });
});

createInterface({ input: process.stdin }).on('line', (line) => {
  const { deliver, drop, lie } = JSON.parse(line);
  for (const session of sessions) {
    if (deliver) {
      session.deliver_sm(
        { source_addr: deliver.from, source_addr_ton: 1, source_addr_npi: 1, destination_addr: deliver.to, short_message: deliver.text },
        (answer) => say({ acknowledged: answer.command_status, text: deliver.text }),
      );
    }
    if (drop) session.destroy();
    if (lie) session.socket.write(Buffer.from('ffffffff000000050000000000000001', 'hex'));
  }
}).on('close', () => process.exit());

server.listen(0, '127.0.0.1', () => say({ port: server.address().port }));
