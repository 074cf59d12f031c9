// Socket is the connection to /v1/realtime. It comes back by itself, to the same conversation, until it is closed.

import { Backoff } from "./backoff.js";

const PATH = "/v1/realtime";
const STALLED = 256 * 1024; // bytes that wait to be sent: about 4 s of sound, beyond which more only makes it later

// protocols returns the subprotocols: a browser cannot send a token otherwise. The token goes under the name that
// clients of the OpenAI protocol use, and under Brenda's own.
export function protocols(token) {
  return token ? ["realtime", `openai-insecure-api-key.${token}`, `brenda.token.${token}`] : ["realtime"];
}

// validToken tells whether a token can be sent as a subprotocol at all (RFC 9110, "token").
export function validToken(token) {
  return /^[\w!#$%&'*+.^`|~-]+$/.test(token);
}

export class Socket {
  // on has the handlers event(object), link("connecting"|"offline"|"idle", ms until the next try) and
  // refused("token"|"forbidden"). session and token are functions: both can change between two connections.
  constructor({ session, token, on }) {
    Object.assign(this, { session, token, on, backoff: new Backoff() });
    this.wanted = false;
    addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => document.hidden || this.hurry());
  }

  // open connects, unless there is a connection or one on its way.
  open() {
    this.wanted = true;
    if (this.socket || this.probing) return;
    clearTimeout(this.timer);
    this.on.link("connecting");
    const url = new URL(PATH, location.href.replace(/^http/, "ws"));
    url.searchParams.set("session_id", this.session());
    const socket = (this.socket = new WebSocket(url, protocols(this.token())));
    this.settled = false;
    socket.onmessage = ({ data }) => this.receive(socket, data);
    socket.onclose = () => this.lost(socket);
  }

  receive(socket, data) {
    if (socket !== this.socket || typeof data !== "string") return;
    const event = JSON.parse(data);
    if (event.type === "session.updated") {
      this.settled = true;
      this.backoff.reset();
    }
    this.on.event(event);
  }

  // send returns whether the event is on its way. Sound is dropped while the network is stalled.
  send(event) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    if (event.type === "input_audio_buffer.append" && this.socket.bufferedAmount > STALLED) return false;
    this.socket.send(JSON.stringify(event));
    return true;
  }

  close() {
    this.wanted = false;
    clearTimeout(this.timer);
    const socket = this.socket;
    this.socket = null;
    socket?.close(1000);
    this.on.link("idle");
  }

  // hurry tries again now when it waits for the next try.
  hurry() {
    if (this.wanted && !this.socket) this.open();
  }

  async lost(socket) {
    if (socket !== this.socket) return;
    this.socket = null;
    let wait = 0;
    if (!this.settled) {
      this.probing = true;
      const { refused, retryAfter } = await this.probe();
      this.probing = false;
      if (!this.wanted) return;
      if (refused) {
        this.close();
        this.on.refused(refused);
        return;
      }
      wait = retryAfter;
    }
    const ms = this.backoff.next(wait);
    this.timer = setTimeout(() => this.open(), ms);
    this.on.link("offline", ms);
  }

  // probe asks why there is no connection: a WebSocket does not tell a page.
  async probe() {
    const headers = this.token() ? { Authorization: `Bearer ${this.token()}` } : {};
    try {
      const answer = await fetch(PATH, { headers, cache: "no-store" });
      return verdict(answer.status, answer.headers.get("Retry-After"));
    } catch {
      return { refused: null, retryAfter: 0 }; // nobody answers: the server is down, or the network is
    }
  }
}

// verdict says what an answer to the probe means: whether trying again is of no use, and how many milliseconds to
// wait at least.
export function verdict(status, retryAfter) {
  const seconds = Number(retryAfter);
  const wait = Number.isFinite(seconds) ? Math.min(60000, Math.max(0, 1000 * seconds)) : 0;
  if (status === 401) return { refused: "token", retryAfter: 0 };
  if ([403, 404, 405, 421].includes(status)) return { refused: "forbidden", retryAfter: 0 };
  return { refused: null, retryAfter: status === 429 || status === 503 ? wait : 0 };
}
