// The waterfall shows where the time between the end of the question and the first sound of the answer went.

// The stages in the order in which they usually happen, by their names in the metadata.
const STAGES = ["decision", "transcript", "first_token", "first_chunk", "first_audio", "sent", "heard"];

// stages reads the metadata of response.done: for each stage the milliseconds from the end of the person's speech
// until its first result. here is when the first sound left this page's loudspeaker, null when it is not known.
// It returns [{key, from, to}], each stage beginning where the ones before it ended; what was prepared ahead of its
// time has no length.
export function stages(metadata, here = null) {
  const times = { ...metadata, heard: here ?? metadata.heard };
  let end = 0;
  return STAGES.filter((key) => Number.isFinite(parseFloat(times[key]))).map((key) => {
    const to = Math.max(0, parseFloat(times[key]));
    const from = Math.min(end, to);
    end = Math.max(end, to);
    return { key, from: to < end ? to : from, to };
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
