// The few icons, drawn here: lines of 2 on a field of 24.

const NAMESPACE = 'http://www.w3.org/2000/svg';
const PATHS = {
  chat: 'M4 5h16v11H10l-4.5 4V16H4z M8 9.2h8 M8 12.2h5',
  down: 'M5.5 9l6.5 6.5L18.5 9',
  send: 'M20.5 3.5L3.5 10.5l6.8 3.2 3.2 6.8z M10.3 13.7L14.5 9.5',
  clip: 'M19 11.5l-7.4 7.4a4.6 4.6 0 0 1-6.5-6.5l8-8a3 3 0 0 1 4.3 4.3l-7.9 7.9a1.4 1.4 0 0 1-2-2l7-7',
  smile: 'M12 3.5a8.5 8.5 0 1 0 0 17a8.5 8.5 0 1 0 0-17 M8.2 14a4.4 4.4 0 0 0 7.6 0 M9 9.6v.1 M15 9.6v.1',
  cross: 'M6 6l12 12 M18 6L6 18',
  clock: 'M12 4a8 8 0 1 0 0 16a8 8 0 1 0 0-16 M12 8v4.5l3 1.8',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  checks: 'M2.5 12.5L7 17l9-9.5 M11.5 16l1 1l9-9.5',
  warn: 'M12 4L2.8 20h18.4z M12 10v4.5 M12 17.2v.1',
  file: 'M6 3.5h8l4.5 4.5v12.5H6z M13.5 3.5V8.5h5',
} as const;
export type Icon = keyof typeof PATHS;

/** An icon: always decoration, its words stand beside it. */
export function icon(name: Icon): SVGSVGElement {
  const svg = document.createElementNS(NAMESPACE, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  svg.setAttribute('focusable', 'false');
  svg.setAttribute('class', `icon icon-${name}`);
  const path = document.createElementNS(NAMESPACE, 'path');
  path.setAttribute('d', PATHS[name]);
  svg.append(path);
  return svg;
}
