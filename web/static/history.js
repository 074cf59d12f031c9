// What was said before the page was loaded again.

// past resolves to the lines of a conversation, none when the server does not tell.
export async function past(id, token) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  try {
    const answer = await fetch(`/v1/ai/sessions/${encodeURIComponent(id)}`, { headers, cache: "no-store" });
    return answer.ok ? lines(await answer.json()) : [];
  } catch {
    return [];
  }
}

export function lines(record) {
  return (record.turns ?? []).flatMap((turn, i) => [
    { id: `past_${i}_q`, who: "person", text: turn.user, state: "done" },
    { id: `past_${i}_a`, who: "brenda", text: turn.assistant, state: turn.cut ? "cut" : "done" },
  ].filter((line) => line.text));
}
