// Times, spans and sizes in words. Always in the administration's zone, whatever the computer is set to.

export const ZONE = 'Europe/Rome';
export type UiLanguage = 'it' | 'en';

const TAGS: Record<UiLanguage, string> = { it: 'it-IT', en: 'en-GB' };
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

const cache = new Map<string, Intl.DateTimeFormat>();
function formatter(language: UiLanguage, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${language}${JSON.stringify(options)}`;
  let found = cache.get(key);
  if (!found) {
    found = new Intl.DateTimeFormat(TAGS[language], { timeZone: ZONE, ...options });
    cache.set(key, found);
  }
  return found;
}

/** `23 nov 2026, 09:05`. */
export function dateTime(language: UiLanguage, at: string | number): string {
  return formatter(language, { day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit' }).format(new Date(at));
}

/** `23 novembre 2026`. */
export function day(language: UiLanguage, at: string | number): string {
  return formatter(language, { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' }).format(new Date(at));
}

/** `09:05` for today, `gio 26 nov, 09:05` for another day. */
export function short(language: UiLanguage, at: string | number, now: number): string {
  const time = formatter(language, { hour: '2-digit', minute: '2-digit' }).format(new Date(at));
  if (dayKey(at) === dayKey(now)) return time;
  const date = formatter(language, { weekday: 'short', day: 'numeric', month: 'short' }).format(new Date(at));
  return `${date}, ${time}`;
}

/** The calendar day in the zone, `2026-11-23`: equal for two instants of one day. */
export function dayKey(at: string | number): string {
  const instant = typeof at === 'number' ? at : Date.parse(at);
  return wallTimeOf(instant).slice(0, 10);
}

/** A span in the largest unit that fits: `45 s`, `12 min`, `3 h 20 min`, `2 g`. Negative spans lose their sign. */
export function span(language: UiLanguage, ms: number): string {
  const size = Math.abs(ms);
  if (size < MINUTE_MS) return `${Math.floor(size / 1000)} s`;
  if (size < HOUR_MS) return `${Math.floor(size / MINUTE_MS)} min`;
  if (size < DAY_MS) {
    const minutes = Math.floor((size % HOUR_MS) / MINUTE_MS);
    return `${Math.floor(size / HOUR_MS)} h${minutes ? ` ${minutes} min` : ''}`;
  }
  const days = Math.floor(size / DAY_MS);
  const hours = Math.floor((size % DAY_MS) / HOUR_MS);
  return `${days} ${language === 'it' ? 'g' : 'd'}${days < 3 && hours ? ` ${hours} h` : ''}`;
}

/** A countdown, `0:07`, `12:30`, `1:05:00`; never below zero. */
export function countdown(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const two = (value: number) => String(value).padStart(2, '0');
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/** `812 B`, `14 kB`, `2,3 MB`. */
export function bytes(language: UiLanguage, size: number): string {
  const number = (value: number, digits: number) =>
    new Intl.NumberFormat(TAGS[language], { maximumFractionDigits: digits }).format(value);
  if (size < 1000) return `${number(size, 0)} B`;
  if (size < 1_000_000) return `${number(size / 1000, 0)} kB`;
  return `${number(size / 1_000_000, 1)} MB`;
}

/** `0,09 €` of the decimal number `0.09`; fractions of a cent are shown, an SMS has them. */
export function money(language: UiLanguage, amount: string, currency: string): string {
  try {
    return new Intl.NumberFormat(TAGS[language], { style: 'currency', currency, maximumFractionDigits: 6 }).format(amount as `${number}`);
  } catch {
    // Not a currency that the browser knows the form of.
    return `${amount} ${currency}`;
  }
}

/** The zone's offset from UTC at an instant, in milliseconds. */
function offsetAt(instant: number): number {
  const parts = Object.fromEntries(
    formatter('en', {
      year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric', hourCycle: 'h23',
    }).formatToParts(new Date(instant)).map((part) => [part.type, Number(part.value)]),
  ) as Record<string, number>;
  const wall = Date.UTC(parts['year']!, parts['month']! - 1, parts['day'], parts['hour'], parts['minute'], parts['second']);
  return wall - Math.floor(instant / 1000) * 1000;
}

/** The instant of a wall time in the zone (`2026-11-24T09:00`, as `datetime-local` gives it); none if it is not one. */
export function instantOf(wallTime: string): string | undefined {
  const wall = Date.parse(`${wallTime}Z`);
  if (Number.isNaN(wall)) return undefined;
  const guess = wall - offsetAt(wall);
  return new Date(wall - offsetAt(guess)).toISOString();
}

/** The wall time in the zone of an instant, as `datetime-local` wants it. */
export function wallTimeOf(instant: number): string {
  return new Date(instant + offsetAt(instant)).toISOString().slice(0, 16);
}

/** Wall time `days` working days after now at `hour` o'clock: Saturdays and Sundays don't count. */
export function workingDay(now: number, days: number, hour: number): string {
  const wall = new Date(now + offsetAt(now));
  for (let left = days; left > 0; ) {
    wall.setUTCDate(wall.getUTCDate() + 1);
    if (wall.getUTCDay() !== 0 && wall.getUTCDay() !== 6) left -= 1;
  }
  wall.setUTCHours(hour, 0, 0, 0);
  return wall.toISOString().slice(0, 16);
}

export type Urgency = 'late' | 'soon' | 'calm';

/** How a due time should look: `soon` within an hour for letters, five minutes for who is standing there. */
export function urgency(due: string, now: number, live: boolean): Urgency {
  const left = Date.parse(due) - now;
  if (left < 0) return 'late';
  return left < (live ? 5 * MINUTE_MS : HOUR_MS) ? 'soon' : 'calm';
}
