// The language of the console, as components use it.
import * as format from './format';
import { translate, translateCode, translateError, type Key, type Parameters } from './translate';

const REMEMBERED = 'sportello.language';

class I18n {
  language = $state<format.UiLanguage>(localStorage.getItem(REMEMBERED) === 'en' ? 'en' : 'it');

  /** Changes the language and remembers it in this browser. */
  choose(language: format.UiLanguage): void {
    this.language = language;
    localStorage.setItem(REMEMBERED, language);
    document.documentElement.lang = language;
  }

  /** The account's own language, unless the person chose one in this browser. */
  suggest(language: string): void {
    if (localStorage.getItem(REMEMBERED) === null && (language === 'it' || language === 'en')) this.language = language;
    document.documentElement.lang = this.language;
  }
}

export const i18n = new I18n();
export const t = (key: Key, parameters?: Parameters) => translate(i18n.language, key, parameters);
export const word = (family: string, code: string) => translateCode(i18n.language, family, code);
export const errorText = (code: string, detail?: string) => translateError(i18n.language, code, detail);
export const fmt = {
  dateTime: (at: string | number) => format.dateTime(i18n.language, at),
  day: (at: string | number) => format.day(i18n.language, at),
  short: (at: string | number, now: number) => format.short(i18n.language, at, now),
  span: (ms: number) => format.span(i18n.language, ms),
  money: (amount: string, currency: string) => format.money(i18n.language, amount, currency),
  bytes: (size: number) => format.bytes(i18n.language, size),
};
