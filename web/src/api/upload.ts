// Uploads one attachment. XMLHttpRequest, because fetch does not tell how far an upload has got.
import { API } from './client';
import { ApiError, codeOf } from './errors';
import type { Problem, Upload } from './types';

export interface RunningUpload {
  done: Promise<Upload>;
  cancel(): void;
}

/** Starts the upload; `onProgress` gets a share from 0 to 1. */
export function upload(contact: string, file: File, onProgress: (share: number) => void): RunningUpload {
  const request = new XMLHttpRequest();
  const done = new Promise<Upload>((resolve, reject) => {
    request.open('POST', `${API}/contacts/${encodeURIComponent(contact)}/attachments`);
    request.responseType = 'json';
    request.upload.onprogress = (event) => {
      if (event.lengthComputable && event.total > 0) onProgress(event.loaded / event.total);
    };
    request.onload = () => {
      if (request.status >= 200 && request.status < 300) return resolve(request.response as Upload);
      const problem = request.response as Partial<Problem> | null;
      reject(new ApiError(problem?.code ?? codeOf(request.status), request.status, problem?.detail));
    };
    request.onerror = () => reject(new ApiError('offline', 0));
    request.onabort = () => reject(new ApiError('cancelled', 0));
  });
  const form = new FormData();
  form.append('file', file, file.name);
  request.send(form);
  return { done, cancel: () => request.abort() };
}
