// A page in Debian's Chromium that uploads by a form, and reads back what it sent:
//
//   node chromium.mjs BROWSER URL FILE FOLDER MODULES   playwright-core is taken out of MODULES
import { createRequire } from "node:module";
import { join } from "node:path";

const [, , executablePath, url, file, folder, modules] = process.argv;
const { chromium } = createRequire(join(modules, "x.js"))("playwright-core");

const browser = await chromium.launch({
  executablePath, headless: false,
  args: ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
});
try {
  const page = await browser.newPage();
  page.on("pageerror", (err) => console.error(err));
  await page.goto(url);
  await page.setInputFiles("input[type=file]", file);
  await page.fill("input[name=path]", folder);
  const seen = await page.evaluate(async () => {
    const data = new FormData(document.forms[0]);
    data.append("files", new File(["deuxième"], "l'été.txt"));
    const res = await fetch("/v1/files/upload", { method: "POST", body: data });
    const answer = await res.json();
    const sent = data.getAll("files");
    const back = [];
    for (const { name } of sent) {
      const path = `${data.get("path")}/${name}`.split("/").map(encodeURIComponent).join("/");
      back.push(new Uint8Array(await (await fetch(`/v1/files/download/${path}`)).arrayBuffer()));
    }
    let same = true;
    for (const [i, f] of sent.entries()) {
      const want = new Uint8Array(await f.arrayBuffer());
      same &&= want.length === back[i].length && want.every((b, k) => b === back[i][k]);
    }
    return { status: res.status, answer, names: sent.map((f) => f.name), same };
  });
  console.log(JSON.stringify({ ...seen, browser: browser.version() }));
} finally {
  await browser.close();
}
