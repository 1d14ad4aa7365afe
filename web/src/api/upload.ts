// Uploads one attachment. XMLHttpRequest, because fetch does not tell how far an upload has got.
import { API } from './client';
import { ApiError, codeOf } from './errors';
import type { Problem, Upload } from './types';

/** After so long without progress it is given up, in milliseconds. */
const STALLED_MS = 60_000;

export interface RunningUpload {
  done: Promise<Upload>;
  cancel(): void;
}

/** Starts the upload; `onProgress` gets a share from 0 to 1. */
export function upload(contact: string, file: File, onProgress: (share: number) => void): RunningUpload {
  const request = new XMLHttpRequest();
  let reason = 'cancelled';
  let timer: ReturnType<typeof setTimeout> | undefined;
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      reason = 'upload_stalled';
      request.abort();
    }, STALLED_MS);
  };
  const done = new Promise<Upload>((resolve, reject) => {
    request.open('POST', `${API}/contacts/${encodeURIComponent(contact)}/attachments`);
    request.responseType = 'json';
    request.upload.onprogress = (event) => {
      wait();
      if (event.lengthComputable && event.total > 0) onProgress(event.loaded / event.total);
    };
    request.onload = () => {
      if (request.status >= 200 && request.status < 300) return resolve(request.response as Upload);
      reject(refusal(request.status, request.response as Partial<Problem> | null));
    };
    request.onerror = () => reject(new ApiError('offline', 0));
    request.onabort = () => reject(new ApiError(reason, 0));
    request.onloadend = () => clearTimeout(timer);
  });
  const form = new FormData();
  form.append('file', file, file.name);
  request.send(form);
  wait();
  return { done, cancel: () => request.abort() };
}

/** Why the desk has not taken the file. A file has no command id: that it is not taken twice is not to be said of it. */
function refusal(status: number, problem: Partial<Problem> | null): ApiError {
  const isAway = [502, 503, 504].includes(status);
  return new ApiError(isAway ? 'upload_unavailable' : (problem?.code ?? codeOf(status)), status, problem?.detail);
}
