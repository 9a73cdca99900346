// What the page shows: `past`, the last changes, and `job`.
"use strict";
const KEPT = 17, ROWS = 6;  // changes in the strip, and in the table below it
const $ = (id) => document.getElementById(id);
let past = [], job = null;
let ahead = 0;  // ms that the server's clock is ahead of this computer's
let heard = 0;  // when the stream was last heard of

const meanings = {
  IDLE: () => "Ready for a job.",
  CALCULATING: () => job ? `Job ${job} is running.` : "A job is running.",
  UNAVAILABLE: () => job ? `Drained: no new jobs. Job ${job} still runs to its end.` : "Drained: no new jobs.",
};
const serverTime = () => Date.now() + ahead;
const digits = {hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23"};
const clock = (time) => new Date(time).toLocaleTimeString([], digits);
function duration(ms) {
  const s = Math.max(0, ms) / 1000;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 60) return `${Math.floor(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
}
const set = (element, text) => { if (element.textContent !== text) element.textContent = text; };

function draw() {
  const now = past.at(-1);
  if (!now) return;
  const lost = document.body.classList.contains("lost");
  $("now").dataset.status = now.status;
  set($("status"), now.status);
  set($("meaning"), meanings[now.status]());
  document.title = lost ? "Connection lost - Worker" : `${now.status} - Worker`;
  $("go").disabled = lost || now.status === "UNAVAILABLE";
  $("drain").disabled = lost || now.status === "UNAVAILABLE";
  const bars = past.map(() => document.createElement("li"));
  const rows = past.map(() => document.createElement("tr"));
  past.forEach((change, i) => {
    bars[i].dataset.status = rows[i].dataset.status = change.status;
    for (const text of [change.status, clock(change.time), ""]) rows[i].insertCell().textContent = text;
  });
  $("strip").replaceChildren(...bars);
  $("rows").replaceChildren(...rows.reverse().slice(0, ROWS));
  set($("from"), clock(past[0].time));
  set($("to"), lost ? clock(heard) : "now");
  tick();
}

// What grows with the time. The server's clock counts, which may differ from this computer's.
function tick() {
  const now = past.at(-1);
  if (!now) return;
  const lengths = past.map((change, i) => (past[i + 1]?.time ?? serverTime()) - change.time);
  set($("since"), `since ${clock(now.time)}, for ${duration(lengths.at(-1))}`);
  // The root, so that a second beside an hour can be seen.
  [...$("strip").children].forEach((bar, i) => { bar.style.flexGrow = Math.sqrt(Math.max(lengths[i], 1)); });
  lengths.reverse();
  [...$("rows").children].forEach((row, i) => set(row.cells[2], duration(lengths[i])));
}

function add(change) {
  if (past.length && change.number <= past.at(-1).number) return;
  past = [...past, {...change, time: Date.parse(change.since)}].slice(-KEPT);
}
