// Sends a file to the daemon. fetch tells nothing of what has been sent; XMLHttpRequest does.

import { CallError } from "./client.js";
import { t } from "./words.js";

// {done: promise of the upload, stop()}; `progress` is told the share that has been sent.
export function sendFile(file, progress = () => {}) {
  const request = new XMLHttpRequest();
  const done = new Promise((resolve, reject) => {
    request.open("PUT", `/studio/uploads?name=${encodeURIComponent(file.name)}`);
    request.responseType = "json";
    request.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
    request.onload = () => (request.status === 200 ? resolve(request.response) : reject(new CallError(request.response?.error ?? { code: "internal", message: t("source.refused", { name: file.name }) })));
    request.onerror = () => reject(new CallError({ code: "disconnected", message: "" }));
    request.onabort = () => reject(new CallError({ code: "aborted", message: "" }));
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.send(file);
  });
  return { done, stop: () => request.abort() };
}
