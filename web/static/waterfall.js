// The waterfall shows where the time between the end of the question and the first sound of the answer went.

// The stages in the order in which they happen, with the names they may have in the metadata.
const STAGES = [
  ["decision", /^(decision|decided|turn_?end|endpoint)/],
  ["transcript", /^(transcript|stt)/],
  ["token", /^(first_?token|llm)/],
  ["chunk", /^(first_?chunk|clause)/],
  ["audio", /^(first_?audio|tts|audio)/],
  ["sent", /^(first_?sent|sent)/],
  ["heard", /^(first_?heard|heard|played)/],
];

// stages reads the metadata of response.done: for each stage the milliseconds from the end of the person's speech
// until its first result. here is when the first sound left this page's loudspeaker, null when it is not known.
// It returns [{key, from, to}], each stage beginning where the one before it ended.
export function stages(metadata, here = null) {
  const times = new Map();
  for (const [name, text] of Object.entries(metadata)) {
    const key = name.toLowerCase().replace(/^.*[.:/]/, "").replace(/^t_/, "");
    const value = parseFloat(text);
    const stage = STAGES.find(([, pattern]) => pattern.test(key));
    if (stage && Number.isFinite(value) && !times.has(stage[0])) times.set(stage[0], Math.max(0, value));
  }
  if (here !== null) times.set("heard", here);
  const found = STAGES.filter(([key]) => times.has(key));
  let from = 0;
  return found.map(([key]) => {
    const to = times.get(key);
    const bar = { key, from: Math.min(from, to), to }; // what was prepared ahead of its time has no length
    if (to <= from) bar.from = to;
    from = Math.max(from, to);
    return bar;
  });
}

export class Waterfall {
  // root is a <details> with a <summary> and an <ol>; t translates.
  constructor(root, t) {
    this.root = root;
    this.t = t;
  }

  draw(bars) {
    if (bars.length === 0) return;
    const end = Math.max(...bars.map((b) => b.to), 1);
    this.root.hidden = false;
    this.root.querySelector("output").textContent = this.t.seconds(end);
    this.root.querySelector("ol").replaceChildren(...bars.map((b) => this.row(b, end)));
  }

  row({ key, from, to }, end) {
    const row = document.createElement("li");
    row.dataset.stage = key;
    row.append(cell("name", this.t(`stage.${key}`)), cell("track", ""), cell("time", this.t.ms(to)));
    const bar = cell("bar", "");
    bar.style.setProperty("--from", from / end);
    bar.style.setProperty("--to", to / end);
    row.children[1].append(bar);
    row.title = `${this.t(`stage.${key}`)} : ${this.t.ms(from)} → ${this.t.ms(to)}`;
    return row;
  }
}

function cell(kind, text) {
  const span = document.createElement("span");
  span.className = kind;
  span.textContent = text;
  return span;
}
