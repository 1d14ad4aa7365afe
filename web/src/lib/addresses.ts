// Reads the "CC" line: addresses separated by commas, semicolons or blanks.

const ADDRESS = /^[^\s@<>,;"]+@[^\s@<>,;"]+\.[^\s@<>,;"]+$/;

export interface Parsed { addresses: { address: string }[]; wrong: string[] }

export function parseAddresses(text: string): Parsed {
  const parts = text.split(/[\s,;]+/).map((part) => part.replace(/^<|>$/g, '')).filter((part) => part !== '');
  return {
    addresses: parts.filter((part) => ADDRESS.test(part)).map((address) => ({ address })),
    wrong: parts.filter((part) => !ADDRESS.test(part)),
  };
}
