// Requests to the server. URLs are relative, so the page works below any path of a proxy.

export class Refused extends Error {
  constructor(message, retryAfter = null) {
    super(message);
    this.retryAfter = retryAfter; // seconds to wait, if the server is busy
  }
}

// The JSON of an answer; throws `Refused` with a human-readable message.
export async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(`api/v1/${path}`, { signal: AbortSignal.timeout(30_000), ...options });
  } catch {
    throw new Refused("The server cannot be reached.");
  }
  const body = await answer.json().catch(() => null);
  if (answer.ok && body) return body;
  const busy = answer.status === 429 || answer.status === 503;
  const seconds = Number(answer.headers.get("Retry-After")) || 1;
  throw new Refused(body?.error?.message ?? `The server answered ${answer.status}.`, busy ? seconds : null);
}

export function post(path, body) {
  return ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

// Repeats a request while the server is busy and `wanted()` holds; null if it is not wanted any more.
export async function patiently(request, wanted, onBusy) {
  while (wanted()) {
    try {
      return await request();
    } catch (error) {
      if (!(error instanceof Refused) || error.retryAfter === null) throw error;
      onBusy();
      await new Promise((resolve) => setTimeout(resolve, 1000 * error.retryAfter));
    }
  }
  return null;
}

export const thumbnail = (photo) => `api/v1/photos/${encodeURIComponent(photo)}/thumbnail`;

// The last part of a photo's id, without its suffix.
export const short = (photo) => photo.split("/").at(-1).replace(/\.\w{2,4}$/, "");
