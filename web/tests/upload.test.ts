// Uploads: given up when they stand still, and why they failed.
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { upload } from '../src/api/upload';

/** The request that was made last, in the test's hands. */
let request: FakeRequest;
class FakeRequest {
  status = 0;
  response: unknown = null;
  responseType = '';
  readonly upload: { onprogress: (event: unknown) => void } = { onprogress: () => {} };
  onload = () => {};
  onabort = () => {};
  onloadend = () => {};
  constructor() { request = this; }
  open() {}
  send() {}
  abort() {
    this.onabort();
    this.onloadend();
  }
  answer(status: number, response: unknown = null) {
    Object.assign(this, { status, response });
    this.onload();
    this.onloadend();
  }
  progress = (loaded: number) => this.upload.onprogress({ lengthComputable: true, loaded, total: 100 });
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('XMLHttpRequest', FakeRequest);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});
const start = () => upload('ct_1', new File(['x'], 'x.pdf'), () => {});

it('stands still for a minute: it is given up', async () => {
  const failed = expect(start().done).rejects.toMatchObject({ code: 'upload_stalled' });
  await vi.advanceTimersByTimeAsync(59_000);
  request.progress(50);
  await vi.advanceTimersByTimeAsync(59_000);
  request.progress(100);
  await vi.advanceTimersByTimeAsync(60_000);
  await failed;
});
it('goes on slowly: it arrives', async () => {
  const { done } = start();
  await vi.advanceTimersByTimeAsync(59_000);
  request.progress(100);
  await vi.advanceTimersByTimeAsync(59_000);
  request.answer(201, { handle: 'h' });
  await expect(done).resolves.toEqual({ handle: 'h' });
  expect(vi.getTimerCount()).toBe(0);
});
it.each([[503, { code: 'store_unavailable' }, 'upload_unavailable'], [504, null, 'upload_unavailable'], [413, null, 'too_large'], [409, { code: 'wrong_state' }, 'wrong_state']])('%i %o is %s', async (status, problem, code) => {
  const failed = expect(start().done).rejects.toMatchObject({ code });
  request.answer(status, problem);
  await failed;
});
it('is cancelled', async () => {
  const { done, cancel } = start();
  const failed = expect(done).rejects.toMatchObject({ code: 'cancelled' });
  cancel();
  await failed;
});
