// What can go wrong between console and desk, as one type; the words for it are in i18n (`error.<code>`).
import type { Problem } from './types';

/** Codes the console itself makes, beside those of the server. */
export type LocalCode = 'offline' | 'timeout' | 'left' | 'session_ended' | 'too_large' | 'unexpected';

/** A request that did not do what was asked. `code` is stable; `status` is 0 when no answer came. */
export class ApiError extends Error {
  constructor(
    readonly code: string,
    readonly status: number,
    readonly detail = '',
  ) {
    super(detail || code);
    this.name = 'ApiError';
  }

  /** Whether nobody knows how it ended: sending the same command again, with the same id, is the right thing to do. */
  get isRetryable(): boolean {
    return [502, 503, 504].includes(this.status) || ['offline', 'timeout', 'left'].includes(this.code);
  }

  /** Whether reading the same again would give the same answer. */
  get isFinal(): boolean {
    return this.code === 'left' || (this.status >= 400 && this.status < 500 && this.status !== 408 && this.status !== 429);
  }

  /** Whether the session is over and the person has to sign in again. */
  get endsSession(): boolean {
    return this.status === 401 && this.code !== 'bad_credentials';
  }
}

/** Reads a failed answer: a problem document if it is one, else a code by its status. */
export async function errorOf(response: Response): Promise<ApiError> {
  const kind = response.headers.get('content-type') ?? '';
  if (kind.includes('json')) {
    try {
      const problem = (await response.json()) as Partial<Problem>;
      if (typeof problem.code === 'string') {
        return new ApiError(problem.code, response.status, problem.detail ?? problem.title ?? '');
      }
    } catch {
      // Not JSON after all: the status has to do.
    }
  }
  return new ApiError(codeOf(response.status), response.status);
}

/** The code for an answer without a problem document, as a proxy in between would give. */
export function codeOf(status: number): string {
  switch (status) {
    case 401: return 'session_ended';
    case 403: return 'forbidden';
    case 404: return 'not_found';
    case 409: return 'wrong_state';
    case 413: return 'too_large';
    case 429: return 'too_many_attempts';
    case 502:
    case 503:
    case 504: return 'router_unavailable';
    default: return 'unexpected';
  }
}
