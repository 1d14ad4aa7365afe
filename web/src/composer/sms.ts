// How many parts an SMS takes: GSM 03.38 counts septets, anything else UCS-2 code units.

const BASIC = new Set('@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&\'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà');
const EXTENDED = new Set('^{}\\[~]|€\f');

export interface SmsCount { encoding: 'gsm7' | 'ucs2'; units: number; parts: number; left: number }

/** Units used, parts needed, and units left in the last part (3GPP TS 23.040: 160/153 septets, 70/67 code units). */
export function countSms(text: string): SmsCount {
  let septets = 0;
  for (const character of text) {
    if (BASIC.has(character)) septets += 1;
    else if (EXTENDED.has(character)) septets += 2;
    else return partsOf('ucs2', text.length, 70, 67);
  }
  return partsOf('gsm7', septets, 160, 153);
}

function partsOf(encoding: SmsCount['encoding'], units: number, single: number, each: number): SmsCount {
  if (units <= single) return { encoding, units, parts: units === 0 ? 0 : 1, left: single - units };
  const parts = Math.ceil(units / each);
  return { encoding, units, parts, left: parts * each - units };
}
