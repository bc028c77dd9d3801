"use strict";
// Asks this sandbox once a second what is new, and shows it. Everything that arrived is put on the page as text.

const EVERY = 1000;
const AWAY = 5000;
const SHOWN = 1000;
const ANNOUNCE = 5000;
const COLUMNS = ["Time", "Subscriber", "Type", "Value", "Answer"];

const at = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const secret = new URLSearchParams(location.search).get("secret");

let process = "";
let newest = 0;
let oldest = 0;
let searched = 0;
let unannounced = 0;
let announcedAt = 0;
let timer = 0;

function query(more) {
  return new URLSearchParams({ subscriber: at("subscriber").value, type: at("type").value, ...more });
}

function answerOf(event) {
  const status = event.status ? String(event.status) : "no answer";
  const words = [event.accepted ? `accepted, ${status}` : status];
  if (event.fault) words.push(`fault: ${event.fault}`);
  return words.join("; ");
}

function row(event) {
  const made = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  const open = document.createElement("button");
  open.type = "button";
  open.textContent = number.format(event.n);
  open.setAttribute("aria-label", `Show the JSON of event ${event.n}`);
  open.addEventListener("click", () => show(event.n));
  head.append(open);
  made.append(head);
  const cells = [clock.format(new Date(event.at * 1000)), event.subscriber, event.type, event.value, answerOf(event)];
  cells.forEach((text, place) => {
    const cell = document.createElement("td");
    cell.dataset.label = COLUMNS[place];
    if (text) {
      const words = document.createElement("bdi");
      words.textContent = text;
      cell.append(words);
    }
    made.append(cell);
  });
  made.children[1].className = "time";
  made.lastChild.className = event.accepted ? "good" : "bad";
  return made;
}

async function ask(path, options) {
  const response = await fetch(path, { cache: "no-store", ...options, headers: { "X-Sandbox-Secret": secret, ...options?.headers } });
  const content = await response.json();
  if (!response.ok) throw new Error(content.message);
  return content;
}

async function show(n) {
  at("event-h").textContent = `Event ${number.format(n)}`;
  try {
    at("json").textContent = (await ask(`/_sandbox/event?n=${n}`)).text;
  } catch (problem) {
    at("json").textContent = problem.message;
  }
  at("event").showModal();
}

function showCounts(state) {
  at("accepted").textContent = number.format(state.accepted);
  at("refused").textContent = number.format(state.arrived - state.accepted);
  at("requests").textContent = number.format(state.requests);
  at("left").textContent = state.limit === null ? "no limit" : `${number.format(state.left)} of ${number.format(state.limit)}`;
  const answers = Object.entries(state.statuses).map(
    ([status, count]) => `${number.format(count)} × ${status === "0" ? "no answer" : status}`,
  );
  at("answers").textContent = answers.length ? `Answers: ${answers.join(", ")}` : "";
  const orders = state.waiting.map(([fault, count]) => `${number.format(count)} × ${fault}`);
  at("waiting").textContent = orders.length ? `Still to come: ${orders.join(", ")}` : "Nothing is ordered.";
  at("clear").disabled = orders.length === 0;
}

function announce(arrived, fresh) {
  unannounced += fresh;
  const now = Date.now();
  if (unannounced && now - announcedAt >= ANNOUNCE) {
    at("news").textContent = `${number.format(arrived)} arrived; ${number.format(unannounced)} new in this list.`;
    unannounced = 0;
    announcedAt = now;
  }
}

function begin() {
  newest = oldest = 0;
  at("rows").replaceChildren();
  at("older").hidden = true;
  searched += 1;
}

async function refresh() {
  const [search, after] = [searched, newest];
  const state = await ask(`/_sandbox/state?${query({ after })}`);
  if (search !== searched || after !== newest) return; // another answer came first
  if (process && state.process !== process) {
    location.reload();
    return;
  }
  process = state.process;
  showCounts(state);
  if (!at("live").checked && newest) return;
  const list = at("rows");
  if (state.rows.length === 200 && newest) list.replaceChildren(); // more came than one answer holds: no holes
  list.prepend(...state.rows.map(row));
  while (list.children.length > SHOWN) list.lastChild.remove();
  if (state.rows.length) {
    if (state.rows.length === 200 || !oldest) oldest = state.rows.at(-1).n;
    if (state.rows.length === 200) at("older").hidden = false;
    newest = state.rows[0].n;
  }
  if (!list.children.length) at("news").textContent = state.arrived ? "Nothing that arrived fits the search." : "Nothing arrived yet.";
  announce(state.arrived, state.rows.length);
}

async function poll() {
  clearTimeout(timer);
  try {
    await refresh();
    at("trouble").hidden = true;
  } catch {
    if (at("trouble").hidden) {
      at("trouble").textContent = "The sandbox does not answer: an outage, or it has ended. The page tries again.";
      at("trouble").hidden = false;
    }
  }
  timer = setTimeout(poll, document.hidden ? AWAY : EVERY);
}

async function order(what) {
  try {
    const answer = await ask("/_sandbox/faults", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(what),
    });
    at("said").textContent = answer.message;
  } catch (problem) {
    at("said").textContent = problem.message;
  }
  poll();
}

at("fault").addEventListener("submit", (event) => {
  event.preventDefault();
  order({ fault: at("kind").value, count: at("count").valueAsNumber });
});
at("outage").addEventListener("submit", (event) => {
  event.preventDefault();
  order({ outage: at("seconds").valueAsNumber });
});
at("clear").addEventListener("click", () => order({}));
at("search").addEventListener("submit", (event) => event.preventDefault());
let typing = 0;
for (const id of ["subscriber", "type"]) {
  at(id).addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      begin();
      announcedAt = 0;
      poll();
    }, 200);
  });
}
at("live").addEventListener("change", poll);
at("older").addEventListener("click", async () => {
  const search = searched;
  const state = await ask(`/_sandbox/state?${query({ before: oldest })}`);
  if (search !== searched || !state.rows.length) {
    at("older").hidden = true;
    return;
  }
  at("rows").append(...state.rows.map(row));
  oldest = state.rows.at(-1).n;
  at("older").hidden = state.rows.length < 200 || at("rows").children.length >= SHOWN;
});
document.addEventListener("visibilitychange", () => document.hidden || poll());
poll();
