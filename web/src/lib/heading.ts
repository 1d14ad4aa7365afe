// Where one goes on when the button that was pressed goes away with what it did.

/** Puts the focus on the heading of what is shown: of the open contact, else of the page. */
export function focusHeading(): void {
  const heading = document.querySelector<HTMLElement>('.bar h1') ?? document.querySelector<HTMLElement>('main h1');
  if (heading) heading.tabIndex = -1;
  heading?.focus();
}
