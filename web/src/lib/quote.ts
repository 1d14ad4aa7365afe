// Splits the quoted tail off a letter's text, so that a thread reads as a talk.

const HEADERS = [
  /^\s*>/,
  /^\s*(il|on|le|am)\s.{6,160}(ha scritto|scrive|wrote|a écrit|schrieb)\s*:?\s*$/i,
  /^\s*-{2,}\s*(messaggio originale|original message|messaggio inoltrato|forwarded message)\s*-{2,}/i,
  /^\s*_{10,}\s*$/,
];

export interface Split { fresh: string; quoted: string }

/** What was newly written, and what it answers. Nothing new at all: the whole text is shown. */
export function splitQuote(text: string): Split {
  const lines = text.split('\n');
  const start = lines.findIndex((line, index) => HEADERS.some((header) => header.test(line)) && isTail(lines, index));
  if (start <= 0) return { fresh: text, quoted: '' };
  const fresh = lines.slice(0, start).join('\n').trimEnd();
  return fresh ? { fresh, quoted: lines.slice(start).join('\n') } : { fresh: text, quoted: '' };
}

/** Answers written between quoted lines are no tail: after a `>` block nothing else may come. */
function isTail(lines: string[], start: number): boolean {
  if (!lines[start]!.trimStart().startsWith('>')) return true;
  return lines.slice(start).every((line) => line.trim() === '' || line.trimStart().startsWith('>'));
}
