// A labelled field that says what is wrong with it, and the checks that several forms share.
import type { Words } from '../words/words';
import { h, set, show, uid, write } from './dom';

export type Control = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;
export interface Field<C extends Control = Control> { root: HTMLElement; control: C; complain(text: string): void }

/** Label, control, hint and complaint in one block. */
export function field<C extends Control>(label: string, control: C, options: { hint?: string; optional?: string } = {}): Field<C> {
  control.id = uid('field');
  const problem = h('p', { class: 'problem', id: uid('problem'), hidden: true });
  const hint = options.hint ? h('p', { class: 'hint', id: uid('hint') }, options.hint) : undefined;
  set(control, 'aria-describedby', [hint?.id, problem.id].filter(Boolean).join(' '));
  set(control, 'aria-required', options.optional ? undefined : 'true');
  const words = h('label', { for: control.id }, label, options.optional ? h('span', { class: 'optional' }, ` ${options.optional}`) : undefined);
  const isBox = control instanceof HTMLInputElement && control.type === 'checkbox';
  const root = isBox ? h('div', { class: 'field box' }, control, words, hint, problem) : h('div', { class: 'field' }, words, hint, control, problem);
  const complain = (text: string) => {
    write(problem, text);
    show(problem, text !== '');
    set(control, 'aria-invalid', text ? 'true' : undefined);
  };
  control.addEventListener('input', () => complain(''));
  return { root, control, complain };
}

/** Complains where something is wrong and takes the focus to the first of them; true if all is well. */
export function check(checks: readonly (readonly [Field, string | undefined])[]): boolean {
  for (const [each, wrong] of checks) each.complain(wrong ?? '');
  const first = checks.find(([, wrong]) => wrong !== undefined);
  first?.[0].control.focus();
  return first === undefined;
}

const ADDRESS = /^[^\s@<>,;"]+@[^\s@<>,;"]+\.[^\s@<>,;"]+$/;
export function wrongEmail(words: Words, text: string, required: boolean): string | undefined {
  const bad = text === '' ? required : text.length > 254 || !ADDRESS.test(text);
  return bad ? words.t('invalid.email') : undefined;
}
