// Clients of the files API in JavaScript, for the tests:
//
//   node clients.mjs form URL FILE FOLDER            a form, as a page would send it
//   node clients.mjs tus URL FILE FOLDER MODULES     a resumable upload with tus-js-client out of MODULES
import { createReadStream, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";

const [, , kind, url, file, folder, modules] = process.argv;

async function form() {
  const data = new FormData();
  data.append("files", new Blob([readFileSync(file)]), basename(file));
  data.append("files", new Blob(["deuxième"]), "l'été.txt");
  data.append("path", folder);
  const res = await fetch(`${url}/v1/files/upload`, { method: "POST", body: data });
  console.log(JSON.stringify({ status: res.status, ...(await res.json()) }));
}

function tus() {
  const { Upload } = createRequire(join(modules, "x.js"))("tus-js-client");
  let retries = 0;
  const upload = new Upload(createReadStream(file), {
    endpoint: `${url}/v1/files/tus`,
    chunkSize: 1 << 20, // of a stream, that much can be sent again
    uploadSize: statSync(file).size,
    retryDelays: Array(50).fill(10),
    metadata: { filename: basename(file), path: folder },
    onShouldRetry: () => { retries += 1; return true; },
    onError: (err) => { console.error(String(err)); process.exit(1); },
    onSuccess: () => console.log(JSON.stringify({ retries })),
  });
  upload.start();
}

await { form, tus }[kind]();
