// Connects the parts of the page.
import { ask, patiently } from "./api.js";
import { Drawing } from "./drawing.js";
import { Paper } from "./paper.js";
import { Pair } from "./explain.js";
import { Finder, Results } from "./results.js";

const TOP = 12; // photos shown
const PAUSE = 450; // least milliseconds between strokes of a replay
const $ = (id) => document.getElementById(id);

const info = { photos: 0, formats: {} };
const drawing = new Drawing();
const paper = new Paper($("paper"), drawing);
const pair = new Pair($("pair"));
const results = new Results($("results"), (hit, rank) => pair.open(hit, rank, drawing.strokes.slice(0, shown())));
const finder = new Finder(TOP, show);
let replaying = null;

const shown = () => Math.min(paper.shown, drawing.strokes.length);
const counted = (n, word) => (n === 1 ? `1 ${word}` : `${n || "no"} ${word}s`);

// Shows the state of the search, also to screen readers.
function show(state) {
  const found = state.kind === "found";
  const photos = info.photos.toLocaleString("en");
  const texts = {
    empty: "",
    loading: "Searching…",
    busy: "The server is busy; trying again…",
    failed: "",
    found: found && `${state.hits.length} of ${photos} photos in ${Math.round(state.took)} ms`,
  };
  $("status").textContent = texts[state.kind];
  $("nothing").hidden = state.kind !== "empty";
  $("results").hidden = state.kind === "empty";
  $("results").classList.toggle("stale", !found);
  $("results").setAttribute("aria-busy", state.kind === "loading" || state.kind === "busy");
  $("trouble").hidden = state.kind !== "failed";
  $("trouble").firstElementChild.textContent = state.message ?? "";
  $("again").hidden = false;
  $("time").textContent = "";
  if (state.kind === "empty") results.show([]);
  if (!found) return;
  results.show(state.hits);
  const { wait, encode, first, match } = state.ms;
  const parts = [["wait", wait], ["encode", encode], ["first stage", first], ["match", match]];
  $("time").textContent = "On the server: " + parts.map(([name, ms]) => `${name} ${ms.toFixed(ms < 10 ? 1 : 0)}`).join(" · ") + " ms";
}

// Shows an error that is not the search's, such as a file that cannot be read.
function showError(message) {
  $("trouble").hidden = false;
  $("again").hidden = true;
  $("trouble").firstElementChild.textContent = message;
}

function seek(strokes) {
  paper.shown = strokes >= drawing.strokes.length ? Infinity : strokes;
  refresh();
}

function refresh() {
  const total = drawing.strokes.length;
  $("undo").disabled = !drawing.canUndo;
  $("redo").disabled = !drawing.canRedo;
  $("clear").disabled = $("slider").disabled = $("play").disabled = !total;
  $("invite").hidden = total > 0 || paper.busy;
  $("slider").max = total;
  $("slider").value = shown();
  $("count").textContent = shown() < total ? `${shown()} of ${counted(total, "stroke")}` : counted(total, "stroke");
  $("slider").setAttribute("aria-valuetext", $("count").textContent);
  paper.paint();
  finder.find(drawing.strokes.slice(0, shown()));
}

function stopReplay() {
  clearTimeout(replaying);
  replaying = null;
  $("play").querySelector("use").setAttribute("href", "#i-play");
  $("play").setAttribute("aria-label", "Replay the drawing");
}

function replay() {
  if (replaying !== null) return stopReplay();
  if (!drawing.strokes.length) return;
  $("play").querySelector("use").setAttribute("href", "#i-pause");
  $("play").setAttribute("aria-label", "Pause the replay");
  let at = shown() < drawing.strokes.length ? shown() : 0;
  const next = () => {
    seek(++at);
    if (at >= drawing.strokes.length) return stopReplay();
    replaying = setTimeout(next, PAUSE);
  };
  replaying = setTimeout(next, 0);
}

function setMode(erasing) {
  paper.setErasing(erasing);
  $("pen").setAttribute("aria-pressed", !erasing);
  $("eraser").setAttribute("aria-pressed", erasing);
}

async function load(file) {
  const suffix = /\.\w+$/.exec(file.name.toLowerCase())?.[0].replace(".jpeg", ".jpg");
  const media = info.formats[suffix];
  if (!media) return showError(`“${file.name}” has an unsupported format; use ${Object.keys(info.formats).join(" ")}.`);
  $("trouble").hidden = true;
  $("status").textContent = `Reading ${file.name}…`;
  try {
    const read = () => ask("sketch", { method: "POST", headers: { "Content-Type": media }, body: file });
    const { strokes } = await patiently(read, () => true, () => ($("status").textContent = "The server is busy; trying again…"));
    drawing.replace(strokes);
    $("paper").focus();
  } catch (error) {
    $("status").textContent = "";
    showError(`“${file.name}”: ${error.message}`);
  }
}

drawing.addEventListener("change", () => {
  stopReplay();
  seek(Infinity);
});
$("pen").onclick = () => setMode(false);
$("eraser").onclick = () => setMode(true);
$("undo").onclick = () => drawing.undo();
$("redo").onclick = () => drawing.redo();
$("clear").onclick = () => drawing.clear();
$("open").onclick = () => $("file").click();
$("file").onchange = ({ target }) => {
  if (target.files.length) load(target.files[0]);
  target.value = "";
};
$("slider").oninput = ({ target }) => {
  stopReplay();
  seek(Number(target.value));
};
$("play").onclick = replay;
$("again").onclick = () => finder.again();
$("paper").addEventListener("stroke", () => ($("invite").hidden = drawing.strokes.length > 0 || paper.busy));

addEventListener("keydown", (event) => {
  const key = event.key.toLowerCase();
  const withControl = event.ctrlKey || event.metaKey;
  if (pair.isOpen || event.altKey) return;
  const act = withControl
    ? { z: () => (event.shiftKey ? drawing.redo() : drawing.undo()), y: () => drawing.redo() }[key]
    : $("draw").contains(document.activeElement) && // plain letters work only inside the drawing section
      { p: () => setMode(false), e: () => setMode(true), x: () => drawing.clear(), o: () => $("file").click(), r: replay }[key];
  if (!act || paper.busy) return;
  event.preventDefault();
  act();
});

const carriesFile = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragover", (event) => {
  if (!carriesFile(event)) return;
  event.preventDefault();
  $("sheet").classList.add("dropping");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) $("sheet").classList.remove("dropping");
});
addEventListener("drop", (event) => {
  $("sheet").classList.remove("dropping");
  if (!carriesFile(event)) return;
  event.preventDefault();
  load(event.dataTransfer.files[0]);
});

try {
  Object.assign(info, await ask("info"));
  $("about").textContent = `${info.photos.toLocaleString("en")} photos. Every stroke starts a new search.`;
  $("file").accept = Object.keys(info.formats).join();
} catch (error) {
  showError(error.message);
}
refresh();
