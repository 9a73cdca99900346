// What the page hears and sends: the event stream and the two buttons.
const SILENCE = 5000;  // ms; the stream says each second that it is there
let stream = null, again = null;

// The stream has the states. Which job it is, the stream does not say.
async function askForJob() {
  try {
    const response = await fetch("status", {cache: "no-store", signal: AbortSignal.timeout(SILENCE)});
    const now = await response.json();
    if (now.status === past.at(-1).status) job = now.job;
    ahead = Date.parse(response.headers.get("date")) - Date.now();
    if (Math.abs(ahead) < 2000) ahead = 0;  // the header has whole seconds
    draw();
  } catch { /* the stream notices, too */ }
}

function lose() {
  stream?.close();
  document.body.classList.add("lost");
  set($("connection"), "Not connected");
  const last = past.length ? ` What you see is from ${clock(heard)}.` : "";
  $("lost").innerHTML = `<strong>Connection lost.</strong>Trying to connect again.${last}`;
  $("lost").hidden = false;
  draw();
  clearTimeout(again);
  again = setTimeout(connect, 1000);
}

function connect() {
  heard = Date.now();
  stream = new EventSource("events");
  const on = (name, act) => stream.addEventListener(name, (event) => { heard = Date.now(); act(JSON.parse(event.data)); });
  on("history", (changes) => {
    past = [];
    changes.forEach(add);
    document.body.classList.remove("lost");
    $("lost").hidden = true;
    set($("connection"), "Live");
    draw();
    askForJob();
  });
  on("change", (change) => { add(change); job = null; draw(); askForJob(); });
  on("alive", () => { if (job && past.at(-1).status === "UNAVAILABLE") askForJob(); });
  stream.onerror = lose;
}

async function post(path, data) {
  $("answer").textContent = "…";
  try {
    const body = JSON.stringify(data), headers = {"Content-Type": "application/json"};
    const response = await fetch(path, {method: "POST", headers, body, signal: AbortSignal.timeout(30000)});
    return [response.status, await response.json()];
  } catch { return [0, {}]; }
}

const answers = {
  0: () => "No answer. Look at the state before you try again.",
  200: () => "Drained.",
  202: (data) => `Job ${data.job} was accepted.`,
  400: () => "Refused: give a number of seconds from 0 to 3600.",
  409: () => "Refused: another job is running.",
  503: () => "Refused: the worker is drained.",
};
const say = ([code, data]) => { $("answer").textContent = (answers[code] ?? (() => `The server failed (${code}).`))(data); };
$("submit").addEventListener("submit", async (event) => {
  event.preventDefault();
  say(await post("jobs", {seconds: $("seconds").valueAsNumber}));
});
$("drain").addEventListener("click", async () => { say(await post("drain", {})); askForJob(); });

setInterval(() => {
  if (stream?.readyState !== EventSource.CLOSED && Date.now() - heard > SILENCE) lose();
  if (!document.body.classList.contains("lost")) tick();
}, 250);
connect();
