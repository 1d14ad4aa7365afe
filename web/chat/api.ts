// The few requests beside the socket: settings, a new session, files. No cookie ever goes along.
import type { ChatFile, Config } from './protocol';

/** A request that did not do what was asked; `code` has its words under `error.<code>`. */
export class ChatError extends Error {
  constructor(readonly code: string) {
    super(code);
    this.name = 'ChatError';
  }
}

export interface NewSession { name: string; email?: string; topic: string; language: string; privacy_accepted: true }
export interface RunningUpload { done: Promise<ChatFile>; cancel(): void }

const TIMEOUT_MS = 15_000;

export class ChatApi {
  private readonly root: string;

  /** `base`: the folder of the widget's own script, with a slash at its end. */
  constructor(private readonly base: string, account: string) {
    this.root = `${base}v1/${encodeURIComponent(account)}/`;
  }

  get socketUrl(): string {
    const url = new URL(`${this.root}socket`);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    return url.href;
  }

  config = (language: string) => this.json<Config>(`${this.root}config?language=${encodeURIComponent(language)}`);
  words = (language: string) => this.json<Record<string, string>>(`${this.base}lang/${language}.json`);

  async session(wish: NewSession): Promise<string> {
    const init = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(wish) };
    return (await this.json<{ session: string }>(`${this.root}sessions`, init)).session;
  }

  /** Fetches a file of the conversation. */
  async download(token: string, file: ChatFile): Promise<Blob> {
    const response = await this.ask(`${this.root}files/${encodeURIComponent(file.file)}`, { headers: { Authorization: `Bearer ${token}` } }, 120_000);
    return response.blob();
  }

  /** Sends a file up; XMLHttpRequest, because fetch does not tell how far it has got. */
  upload(token: string, file: File, onProgress: (share: number) => void): RunningUpload {
    const request = new XMLHttpRequest();
    const done = new Promise<ChatFile>((resolve, reject) => {
      request.open('POST', `${this.root}files`);
      request.setRequestHeader('Authorization', `Bearer ${token}`);
      request.setRequestHeader('Content-Type', file.type || 'application/octet-stream');
      request.setRequestHeader('X-File-Name', encodeURIComponent(file.name));
      request.responseType = 'json';
      request.upload.onprogress = (event) => onProgress(event.lengthComputable ? event.loaded / event.total : 0);
      request.onload = () => {
        if (request.status < 300) resolve(request.response as ChatFile);
        else reject(new ChatError(codeOf(request.status)));
      };
      request.onerror = () => reject(new ChatError('offline'));
    });
    request.send(file);
    return { done, cancel: () => request.abort() };
  }

  private async json<T>(url: string, init: RequestInit = {}): Promise<T> {
    return (await (await this.ask(url, init)).json()) as T;
  }

  private async ask(url: string, init: RequestInit, timeout = TIMEOUT_MS): Promise<Response> {
    const response = await fetch(url, { ...init, credentials: 'omit', referrerPolicy: 'no-referrer', signal: AbortSignal.timeout(timeout) }).catch(() => {
      throw new ChatError('offline');
    });
    if (response.ok) return response;
    throw new ChatError(codeOf(response.status));
  }
}

/** The kind of refusal: the status says enough for the words. */
function codeOf(status: number): string {
  switch (status) {
    case 401: return 'session_over';
    case 403:
    case 404: return 'forbidden';
    case 408: return 'offline';
    case 409: return 'ended';
    case 413: return 'too_large';
    case 415: return 'bad_file';
    case 422: return 'invalid';
    case 429: return 'too_many';
    default: return status >= 500 ? 'unavailable' : 'unexpected';
  }
}
