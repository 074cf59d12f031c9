// What the page keeps while its tab is open: the conversation's id and the token.

const store = globalThis.sessionStorage;

export function hasSession() {
  return store.getItem("brenda.session") !== null;
}

// sessionID returns the conversation's id, a new one when there is none.
export function sessionID() {
  let id = store.getItem("brenda.session");
  if (!id) {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    id = "web-" + Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
    store.setItem("brenda.session", id);
  }
  return id;
}

export function forgetSession() {
  store.removeItem("brenda.session");
}

export function token() {
  return store.getItem("brenda.token") ?? "";
}

export function keepToken(value) {
  store.setItem("brenda.token", value);
}
