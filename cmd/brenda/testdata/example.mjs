// The example of the API's specification (section 7.1), run as it is written but for four places, marked with "CHANGED":
// there it cannot work as written.
const base = process.argv[2];

// CHANGED: Node has no Audio. This one checks that what it is given is a whole WAV file, and counts it.
let played = 0;
class Audio {
  constructor(url) {
    const bytes = Buffer.from(url.slice('data:audio/wav;base64,'.length), 'base64');
    if (bytes.toString('latin1', 0, 4) !== 'RIFF' || bytes.readUInt32LE(4) + 8 !== bytes.length) throw new Error('not a whole WAV');
  }
  async play() { played++; }
}

// CHANGED: a relative URL needs a page; here it gets the server's address.
const response = await fetch(base + '/v1/ai/chaining/chat', {
    method: 'POST',
    body: JSON.stringify({
        text: "Bonjour, comment vas-tu ?"
        // ou audio: "base64_audio_data"
    })
});

const reader = response.body.getReader();
const decoder = new TextDecoder();
let text = '';
let rest = ''; // CHANGED: what the network cuts in the middle of an event, or of a letter, is put together again

while (true) {
    const {value, done} = await reader.read();
    if (done) break;

    const events = (rest + decoder.decode(value, {stream: true})).split('\n\n');
    rest = events.pop();
    for (const event of events) {
        if (event === 'data: [DONE]') continue; // CHANGED: the documented end of the stream is not JSON
        if (event.startsWith('data: ')) {
            const data = JSON.parse(event.slice(6));
            if (data.type === 'text') {
                // Afficher le texte
                text += data.content;
            } else if (data.type === 'audio') {
                // Jouer l'audio
                const audio = new Audio(`data:audio/wav;base64,${data.content}`);
                await audio.play();
            }
        }
    }
}
console.log(JSON.stringify({text, played}));
