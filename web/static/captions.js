// Captions shows who said what, as it is said, and tells screen readers each line once it is complete.

const NEAR = 80; // pixels from the end within which the view follows the newest line

export class Captions {
  // list is an <ol>, live a polite live region; t translates.
  constructor(list, live, t) {
    Object.assign(this, { list, live, t, rows: new Map(), told: new Set(), follow: true });
    const view = list.parentElement;
    view.addEventListener("scroll", () => {
      this.follow = view.scrollHeight - view.scrollTop - view.clientHeight < NEAR;
    });
    new ResizeObserver(() => this.keepUp()).observe(view);
  }

  render(lines) {
    const ids = new Set(lines.map((l) => l.id));
    for (const [id, row] of this.rows) {
      if (ids.has(id)) continue;
      row.element.remove();
      this.rows.delete(id);
    }
    for (const line of lines) this.show(line);
    this.keepUp();
  }

  // keepUp shows the newest line, unless the person looks at older ones.
  keepUp() {
    const view = this.list.parentElement;
    if (this.follow) view.scrollTop = view.scrollHeight;
  }

  show(line) {
    let row = this.rows.get(line.id);
    if (!row) {
      row = { element: this.make(line), line: null };
      this.rows.set(line.id, row);
      this.list.append(row.element);
    }
    if (row.line === line) return;
    row.line = line;
    row.element.dataset.state = line.state;
    row.element.querySelector(".words").textContent = written(line);
    if (line.state !== "live" && line.text !== "" && !this.told.has(line.id)) this.tell(line);
  }

  make({ who }) {
    const li = document.createElement("li");
    li.dataset.who = who;
    const name = document.createElement("span");
    name.className = "who";
    name.textContent = this.t(who);
    const words = document.createElement("p");
    words.className = "words";
    words.lang = "fr"; // whatever the page's own language
    li.append(name, words);
    return li;
  }

  tell(line) {
    this.told.add(line.id);
    this.live.textContent = `${this.t(line.who)} : ${written(line)}`;
  }
}

// written returns a line as it is shown: what was cut ends with an ellipsis.
export function written({ text, state }) {
  if (state === "live" && text === "") return "…";
  return state === "cut" ? `${text.replace(/[\s.,;:!?…]+$/u, "")} …` : text;
}
