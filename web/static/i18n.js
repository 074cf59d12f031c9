// The page's words. French is Brenda's language, and what stands in index.html; English is for those who set it up.

const fr = {
  connecting: "Connexion…",
  offline: "Hors ligne",
  hearing: "Je vous entends",
  thinking: "Je réfléchis…",
  speaking: "Brenda parle",
  listening: "Je vous écoute",
  ready: "Bonjour !",
  again: "À vous",
  retry: "Nouvel essai dans {s} s",
  talk: "Parler",
  stop: "Arrêter",
  person: "Vous",
  brenda: "Brenda",
  "hint.ready": "Appuyez sur le bouton et posez votre question.",
  "hint.connecting": "Vous pouvez déjà parler.",
  "hint.listening": "Parlez, je vous réponds dès que vous avez fini.",
  "hint.hearing": "Prenez votre temps.",
  "hint.thinking": "Un instant.",
  "hint.speaking": "Vous pouvez m’interrompre en parlant.",
  "hint.offline": "La conversation reprendra où elle en était.",
  micDenied: "Le microphone est bloqué. Autorisez-le dans les réglages du navigateur (à côté de l’adresse), ou écrivez votre question.",
  micAbsent: "Aucun microphone trouvé. Branchez-en un, ou écrivez votre question.",
  micBusy: "Le microphone est pris par une autre application. Fermez-la, ou écrivez votre question.",
  micLost: "Le microphone a été débranché.",
  micInsecure: "Le navigateur ne donne le microphone qu’à une page en https ou sur localhost. Vous pouvez écrire votre question.",
  micUnsupported: "Ce navigateur ne donne pas accès au microphone. Vous pouvez écrire votre question.",
  micFailed: "Le microphone n’a pas pu démarrer. Vous pouvez écrire votre question.",
  notUnderstood: "Je n’ai pas compris. Pouvez-vous répéter ?",
  failed: "La réponse n’a pas pu être faite. Réessayez.",
  serverError: "Le serveur signale un problème.",
  forbidden: "Ce serveur n’accepte pas cette page à cette adresse.",
  tokenNeeded: "Ce serveur demande un jeton d’accès.",
  tokenWrong: "Ce jeton n’est pas accepté.",
  "stage.decision": "Fin de phrase",
  "stage.transcript": "Transcription",
  "stage.first_token": "Premier mot",
  "stage.first_chunk": "Première phrase",
  "stage.first_audio": "Voix",
  "stage.sent": "Envoi",
  "stage.heard": "Entendu",
};

const en = {
  connecting: "Connecting…",
  offline: "Offline",
  hearing: "I hear you",
  thinking: "Thinking…",
  speaking: "Brenda is speaking",
  listening: "Listening",
  ready: "Hello!",
  again: "Your turn",
  retry: "Next try in {s} s",
  talk: "Talk",
  stop: "Stop",
  person: "You",
  brenda: "Brenda",
  "hint.ready": "Press the button and ask in French.",
  "hint.connecting": "You can speak already.",
  "hint.listening": "Speak; I answer as soon as you have finished.",
  "hint.hearing": "Take your time.",
  "hint.thinking": "One moment.",
  "hint.speaking": "Speak to interrupt me.",
  "hint.offline": "The conversation will go on where it was.",
  micDenied: "The microphone is blocked. Allow it in the browser’s settings (next to the address), or type your question.",
  micAbsent: "No microphone found. Plug one in, or type your question.",
  micBusy: "Another application uses the microphone. Close it, or type your question.",
  micLost: "The microphone was unplugged.",
  micInsecure: "Browsers give the microphone only to pages on https or localhost. You can type your question.",
  micUnsupported: "This browser gives no access to the microphone. You can type your question.",
  micFailed: "The microphone did not start. You can type your question.",
  notUnderstood: "I did not understand. Could you say it again?",
  failed: "There was no answer. Try again.",
  serverError: "The server reports a problem.",
  forbidden: "This server does not accept this page at this address.",
  tokenNeeded: "This server asks for an access token.",
  tokenWrong: "This token is not accepted.",
  "stage.decision": "End of turn",
  "stage.transcript": "Transcript",
  "stage.first_token": "First word",
  "stage.first_chunk": "First clause",
  "stage.first_audio": "Voice",
  "stage.sent": "Sent",
  "stage.heard": "Heard",
  // What index.html says in French.
  "page.description": "Brenda, the voice assistant",
  "page.new": "New conversation",
  "page.conversation": "Conversation",
  "page.write": "Type your question",
  "page.placeholder": "Or type your question…",
  "page.send": "Send",
  "page.times": "Last turn",
  "page.timesFrom": "from the end of your question",
  "page.token": "Access token",
  "page.open": "Open",
  "page.try": "For example",
  "page.keys": "Space: talk · Esc: stop",
  "page.docs": "For developers",
};

export const tables = { fr, en };

// choose returns the language of the page for the languages that a browser prefers.
export function choose(languages) {
  const first = (languages ?? []).map((l) => l.slice(0, 2).toLowerCase()).find((l) => l in tables);
  return first ?? "fr";
}

// translator returns t(key, values), with t.ms and t.seconds for times.
export function translator(language) {
  const t = (key, values = {}) => (tables[language][key] ?? fr[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const number = (digits) => new Intl.NumberFormat(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const [whole, tenth] = [number(0), number(2)];
  t.language = language;
  t.ms = (ms) => `${whole.format(ms)} ms`;
  t.seconds = (ms) => `${tenth.format(ms / 1000)} s`;
  return t;
}

// apply puts the words into a page: data-t is the key of an element's text, data-t-NAME that of its attribute NAME.
export function apply(root, t) {
  if (t.language === "fr") return; // as it is written
  root.lang = t.language;
  for (const el of root.querySelectorAll("*")) {
    for (const [name, key] of Object.entries(el.dataset)) {
      if (name === "t") el.textContent = t(key);
      else if (/^t[A-Z]/.test(name)) el.setAttribute(name.slice(1).replace(/[A-Z]/g, (c, i) => (i ? "-" : "") + c.toLowerCase()), t(key));
    }
  }
}
