// Makes elements. Text only ever becomes text nodes; there is no way from a string to markup here.

export type Child = Node | string | undefined | false;
type Listener<K extends keyof HTMLElementEventMap> = (event: HTMLElementEventMap[K]) => void;
type Properties = {
  [attribute: string]: string | number | boolean | undefined | Listener<never>;
} & { [K in keyof HTMLElementEventMap as `on${K}`]?: Listener<K> };

/** An element with its attributes (`true` is an empty one, `false` and `undefined` none) and listeners (`onclick`). */
export function h<T extends keyof HTMLElementTagNameMap>(tag: T, properties: Properties = {}, ...children: Child[]): HTMLElementTagNameMap[T] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value as unknown as EventListener);
    else set(element, name, value as string | number | boolean | undefined);
  }
  element.append(...children.filter((child): child is Node | string => child !== undefined && child !== false));
  return element;
}

/** Sets an attribute, only if it changes. */
export function set(element: Element, name: string, value: string | number | boolean | undefined): void {
  const text = value === true ? '' : value === false || value === undefined ? null : String(value);
  if (element.getAttribute(name) === text) return;
  if (text === null) element.removeAttribute(name);
  else element.setAttribute(name, text);
}

/** Sets the text, only if it changes: a live region that is written anew is read out anew. */
export function write(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function show(element: HTMLElement, shown: boolean): void {
  if (element.hidden === shown) element.hidden = !shown;
}

/** Puts the children in this order, moving only what is not where it belongs. */
export function arrange(parent: Element, children: readonly Element[]): void {
  let at = parent.firstElementChild;
  for (const child of children) {
    if (child === at) at = at.nextElementSibling;
    else parent.insertBefore(child, at);
  }
  while (at) {
    const next = at.nextElementSibling;
    at.remove();
    at = next;
  }
}

let lastId = 0;
/** An id that no other element of this page's widgets has. */
export const uid = (name: string) => `${name}-${(lastId += 1)}`;
