// The page in Debian's Chromium, as a person uses it: node page.mjs SCENARIO.
//
// Environment: BASE is the server, CHROMIUM the browser, SPEECH a WAV file that is the microphone, HOLD how many 20 ms
// frames of it a person of push_to_talk lets pass before she is done, OUT a folder for pictures and for played.raw
// (PCM16, one channel). The last line of the output is a report in JSON.
import fs from "node:fs";
import http from "node:http";
import net from "node:net";
import path from "node:path";
import { chromium } from "playwright-core";

const { BASE, CHROMIUM, SPEECH, HOLD, OUT } = process.env;
const here = (name) => new URL(name, import.meta.url).pathname;
const WAIT = { timeout: 240000, polling: 50 };
const WIDE = { viewport: { width: 1280, height: 800 } };
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

// Line is the way to the server: it can be cut, and mended at the same address. It adds tap.worklet.js to the page's files.
class Line {
  constructor(to) {
    this.to = new URL(to);
    this.sockets = new Set();
  }

  async mend() {
    this.server = http.createServer((req, res) => this.forward(req, res));
    this.server.on("connection", (socket) => this.keep(socket));
    this.server.on("upgrade", (req, socket) => this.join(req, socket));
    await new Promise((done) => this.server.listen(this.port ?? 0, "127.0.0.1", done));
    this.port = this.server.address().port;
  }

  keep(socket) {
    this.sockets.add(socket);
    socket.on("error", () => {}).on("close", () => this.sockets.delete(socket));
  }

  forward(req, res) {
    if (req.url === "/static/tap.worklet.js") {
      res.writeHead(200, { "Content-Type": "text/javascript" }).end(fs.readFileSync(here("./tap.worklet.js")));
      return;
    }
    const { hostname, port } = this.to;
    const onward = http.request({ hostname, port, path: req.url, method: req.method, headers: req.headers }, (answer) => {
      res.writeHead(answer.statusCode, answer.headers);
      answer.pipe(res);
    });
    onward.on("error", () => res.destroy());
    req.pipe(onward);
  }

  join(req, near) {
    const far = net.connect(this.to.port, this.to.hostname);
    this.keep(far);
    const headers = req.rawHeaders.map((word, i) => word + (i % 2 ? "\r\n" : ": ")).join("");
    far.write(`${req.method} ${req.url} HTTP/1.1\r\n${headers}\r\n`);
    far.pipe(near).on("close", () => far.destroy());
    near.pipe(far).on("close", () => near.destroy());
  }

  cut() {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }

  get base() {
    return `http://127.0.0.1:${this.port}`;
  }
}

// Visit is one person's tab, and what can be seen of it.
class Visit {
  constructor(page) {
    Object.assign(this, { page, sent: {}, sessions: [], errors: [] });
    page.on("pageerror", (err) => this.errors.push(String(err.stack)));
    page.on("console", (message) => {
      if (message.text().includes("Content Security Policy")) this.errors.push(message.text());
    });
    page.on("websocket", (ws) => {
      this.sessions.push(new URL(ws.url()).searchParams.get("session_id"));
      ws.on("framesent", ({ payload }) => this.count(JSON.parse(payload).type));
    });
  }

  count(type) {
    this.sent[type] = (this.sent[type] ?? 0) + 1;
  }

  async type(text) {
    await this.page.fill("#text", text);
    await this.page.press("#text", "Enter");
  }

  phase(...phases) {
    return this.page.waitForFunction((all) => all.includes(document.body.dataset.phase), phases, WAIT);
  }

  // sounds resolves when so many seconds of sound were played.
  sounds(seconds) {
    return this.page.waitForFunction((s) => window.heard.loud >= s, seconds, WAIT);
  }

  // listens resolves after so many seconds more, on the clock of the sound.
  async listens(seconds) {
    const played = () => window.heard.chunks.reduce((n, chunk) => n + chunk.length, 0) / window.heard.rate;
    const until = (await this.page.evaluate(played)) + seconds;
    await this.page.waitForFunction(
      (end) => window.heard.chunks.reduce((n, chunk) => n + chunk.length, 0) / window.heard.rate >= end, until, WAIT);
  }

  // answered resolves when the nth answer was heard to its end.
  async answered(n) {
    await this.page.waitForFunction((count) => {
      const lines = document.querySelectorAll('#captions li[data-who="brenda"]');
      return lines.length >= count && lines[count - 1].dataset.state === "done" &&
        ["ready", "listening"].includes(document.body.dataset.phase);
    }, n, WAIT);
  }

  cut(n) {
    return this.page.waitForFunction((i) =>
      document.querySelectorAll('#captions li[data-who="brenda"]')[i - 1]?.dataset.state === "cut", n, WAIT);
  }

  shot(name) {
    return this.page.screenshot({ path: path.join(OUT, `${name}.png`) });
  }

  async report() {
    const seen = await this.page.evaluate(() => ({
      phase: document.body.dataset.phase,
      notice: document.querySelector("#notice").textContent,
      times: document.querySelectorAll("#times li").length,
      overflow: document.documentElement.scrollWidth > document.documentElement.clientWidth,
      captions: [...document.querySelectorAll("#captions li")].map((li) => ({
        who: li.dataset.who, state: li.dataset.state, text: li.querySelector(".words").textContent,
      })),
    }));
    const { pcm, ...sound } = await this.page.evaluate(() => window.heardSound());
    fs.writeFileSync(path.join(OUT, "played.raw"), Buffer.from(pcm, "base64"));
    return { ...seen, ...sound, sent: this.sent, sessions: this.sessions, errors: this.errors };
  }
}

const scenarios = {
  // A person presses the button, asks, and hears the answer.
  async talk(visit) {
    await visit.shot("talk-ready");
    await visit.page.click("#talk");
    await visit.phase("hearing");
    await visit.shot("talk-hearing");
    await visit.phase("speaking");
    await visit.shot("talk-speaking");
    await visit.answered(1);
    await visit.page.click("#times summary");
    await visit.shot("talk-answered");
  },

  // Brenda speaks; the person opens the microphone, and speaks over her. The second answer is stopped with a key.
  async interrupt(visit) {
    await visit.type("Raconte-moi une longue histoire de mer, avec beaucoup de détails.");
    await visit.sounds(0.3);
    await visit.page.click("#talk");
    await visit.cut(1);
    await visit.shot("interrupt-cut");
    await visit.phase("thinking");
    await visit.phase("speaking");
    await visit.shot("interrupt-answered");
    await visit.page.keyboard.press("Escape");
    await visit.phase("ready");
    await visit.listens(1);
  },

  // The network goes while Brenda speaks, and comes back.
  async reconnect(visit, line) {
    await visit.type("Raconte-moi une longue histoire de mer, avec beaucoup de détails.");
    await visit.sounds(0.3);
    line.cut();
    await visit.phase("offline");
    await visit.shot("reconnect-offline");
    await line.mend();
    await visit.phase("ready");
    await visit.type("Dis bonjour.");
    await visit.phase("speaking");
    await visit.answered(2);
    await visit.shot("reconnect-answered");
  },

  // The person does not allow the microphone, and types.
  async denied(visit, line) {
    const browser = await visit.page.context().browser().newBrowserCDPSession();
    await browser.send("Browser.setPermission", { permission: { name: "microphone" }, setting: "denied", origin: line.base });
    await visit.page.click("#talk");
    await visit.page.waitForSelector("#notice:not([hidden])");
    await visit.shot("denied");
    visit.told = await visit.page.textContent("#notice");
    await visit.type("Dis bonjour.");
    await visit.phase("speaking");
    await visit.answered(1);
    await visit.shot("denied-answered");
  },

  // On a telephone: the person touches the button, speaks, and touches it again instead of waiting for silence.
  async push_to_talk(visit) {
    await visit.shot("phone-ready");
    await visit.page.evaluate((frames) => window.holdTalk(frames), Number(HOLD));
    await visit.page.tap("#talk");
    await visit.phase("hearing");
    await visit.shot("phone-hearing");
    await visit.phase("speaking");
    await visit.shot("phone-speaking");
    await visit.answered(1);
    await visit.page.tap("#times summary");
    await visit.shot("phone-answered");
  },
};

const name = process.argv[2];
const args = [
  "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream",
  `--use-file-for-fake-audio-capture=${SPEECH}%noloop`, // from its beginning when the microphone is opened, then silence
];
if (name !== "denied") args.push("--use-fake-ui-for-media-stream");
const browser = await chromium.launch({ executablePath: CHROMIUM, headless: false, args });
const line = new Line(BASE);
let visit;
try {
  await line.mend();
  const context = await browser.newContext({ locale: "fr-FR", ...(name === "push_to_talk" ? PHONE : WIDE) });
  await context.addInitScript({ path: here("./tap.js") });
  visit = new Visit(await context.newPage());
  await visit.page.goto(line.base);
  await scenarios[name](visit, line);
  console.log(JSON.stringify({ ...(await visit.report()), told: visit.told ?? "", version: browser.version() }));
} catch (err) {
  if (visit) {
    await visit.shot(`${name}-failed`);
    console.error(JSON.stringify(await visit.report()));
  }
  throw err;
} finally {
  await browser.close();
  line.cut();
}
