// A dialog's commands: the same again under the same id as long as nobody knows how it ended.
import { expect, it } from 'vitest';
import { ApiError } from '../src/api/errors';
import { Once } from '../src/api/once';

it('is the same command until it is refused, or another thing is asked', async () => {
  const once = new Once();
  const ids: string[] = [];
  const ask = (what: unknown, error?: ApiError) => once.send(what, async ({ id }) => {
    ids.push(id);
    if (error) throw error;
  }).catch(() => {});
  await ask({ resolution: 'resolved' }, new ApiError('timeout', 0));
  await ask({ resolution: 'resolved' });
  await ask({ resolution: 'resolved' });
  await ask({ resolution: 'duplicate' }, new ApiError('wrong_state', 409));
  await ask({ resolution: 'duplicate' });
  expect(ids[1]).toBe(ids[0]);
  expect(ids[2]).toBe(ids[0]);
  expect(new Set(ids).size).toBe(3);
});
