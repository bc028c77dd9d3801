"use strict";
// Sends what is typed, and puts the answers in their places. The answers are HTML that the templates have escaped.

const PAUSE = 250;
const POLL = 500;

const at = (id) => document.getElementById(id);
const secret = new URLSearchParams(location.search).get("secret");
const timers = new Map();
let last = Promise.resolve();

async function ask(path, content) {
  const options = { cache: "no-store", headers: { "X-Review-Secret": secret } };
  if (content !== undefined) Object.assign(options, { method: "POST", body: JSON.stringify(content) });
  try {
    const response = await fetch(path, options);
    if (!response.ok) throw new Error(await response.text());
    at("trouble").hidden = true;
    return response;
  } catch (problem) {
    at("trouble").textContent = problem instanceof TypeError ? "The page was closed, or its program has ended: run importer review again. What you typed is kept." : problem.message;
    at("trouble").hidden = false;
    throw problem;
  }
}

// One request after the other, so that what was typed last counts.
function inTurn(job) {
  last = last.then(job, job).catch(() => {});
  return last;
}

const numberOf = (element) => Number(element.closest("[data-no]").dataset.no);
const chosen = () => ({ status: at("status").value, code: at("code").value, text: at("text").value });

function showBar(html) {
  const focused = document.activeElement?.id;
  at("bar").innerHTML = html;
  if (focused && at("bar").contains(at(focused))) at(focused).focus();
  mark();
}

function mark() {
  for (const one of document.querySelectorAll("[data-status]")) {
    if (one.dataset.status === at("status").value) one.setAttribute("aria-current", "true");
  }
}

async function show(query, { focus } = {}) {
  if (focus) at("said").textContent = "";
  const focused = document.activeElement?.id;
  const found = await (await ask(`rows?${new URLSearchParams(query)}`)).json();
  at("list").innerHTML = found.list;
  showBar(found.bar);
  const wanted = focus ? document.querySelector(focus) : focused && at(focused);
  if (wanted) wanted.focus();
}

let after = "0";
const refresh = () => show({ ...chosen(), after });

async function type(element) {
  const number = numberOf(element);
  const answer = await (await ask("type", { no: number, column: element.dataset.column, text: element.value })).json();
  for (const [no, html] of Object.entries(answer.verdicts)) {
    const verdict = at(`v${no}`);
    if (!verdict) continue;
    verdict.innerHTML = html;
    verdict.closest("article").classList.toggle("ready", html.includes('class="good"'));
  }
  const like = element.closest(".cell").querySelector("[data-like]");
  if (like) {
    like.hidden = !answer.like;
    like.disabled = element.value === element.defaultValue;
    like.querySelector(".n").textContent = answer.like.toLocaleString("en");
  }
  showBar(answer.bar);
}

function flush() {
  for (const [element, timer] of timers) {
    clearTimeout(timer);
    inTurn(() => type(element));
  }
  timers.clear();
}

async function send(path, content) {
  flush();
  at("said").textContent = "Working …";
  await inTurn(async () => {
    const answer = await (await ask(path, content)).json();
    at("said").textContent = answer.said;
    await refresh();
    if (document.activeElement === document.body) at("list-h").focus();
  });
}

function open(html) {
  at("dialog").innerHTML = html;
  at("dialog").showModal();
}

function askNote(target) {
  const count = target.numbers ? "this row" : "all these rows";
  open(`<h2 id="dialog-h">Give up</h2><form method="dialog" id="give-up"><label for="note">Why ${count} will not be sent (optional)</label><input id="note" maxlength="200"><p class="actions"><button type="submit" class="main">Give up</button> <button type="button" data-dismiss>Not yet</button></p></form>`);
  at("note").focus();
  at("give-up").addEventListener("submit", () => send("word", { word: "given_up", note: at("note").value, ...target }));
}

async function follow(first) {
  let answer = first;
  let asked = false;
  at("work").hidden = false;
  at("bar").hidden = at("list").hidden = true;
  at("said").textContent = "";
  for (;;) {
    const keep = answer.asks && asked;
    if (!keep) at("work").innerHTML = answer.html;
    if (answer.asks && !asked) at("no").focus();
    asked = answer.asks;
    if (!answer.active) break;
    await new Promise((resolve) => setTimeout(resolve, POLL));
    answer = await (await ask("work")).json();
  }
  if (!answer.done) {
    at("bar").hidden = at("list").hidden = false;
    after = "0";
    await refresh();
  }
  at("work-h").focus();
}

document.addEventListener("input", (event) => {
  const element = event.target;
  if (!element.dataset.column && element.dataset.column !== "") return;
  clearTimeout(timers.get(element));
  timers.set(element, setTimeout(() => {
    timers.delete(element);
    inTurn(() => type(element));
  }, PAUSE));
});
document.addEventListener("change", (event) => {
  const element = event.target;
  if (element.type === "radio") inTurn(() => ask("word", { word: element.value, numbers: [numberOf(element)] }).then((a) => a.json()).then((a) => showBar(a.bar)));
  if (element.id === "code") inTurn(() => { after = "0"; return show({ ...chosen(), after }, { focus: "#code" }); });
});
document.addEventListener("keydown", (event) => {
  const element = event.target;
  if (event.key !== "Enter" || element.tagName !== "INPUT" || element.dataset.column === undefined) return;
  event.preventDefault();
  flush();
  const fields = [...document.querySelectorAll(".guilty [data-column]")];
  const next = fields.slice(fields.indexOf(element) + 1).find((one) => !one.closest(".ready"));
  (next ?? document.querySelector("[data-after]:last-of-type") ?? at("plan")).focus();
});
document.addEventListener("submit", (event) => {
  if (event.target.id !== "filter") return;
  event.preventDefault();
  after = "0";
  inTurn(() => show({ ...chosen(), after }, { focus: "#text" }));
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const data = button.dataset;
  if (data.status !== undefined) {
    flush();
    after = "0";
    inTurn(() => show({ status: data.status }, { focus: "#list-h" }));
  } else if (data.after !== undefined) {
    flush();
    after = data.after;
    inTurn(() => show({ ...chosen(), after }, { focus: "#list-h" }));
  } else if (data.like !== undefined) {
    send("like", { no: numberOf(button), column: button.closest(".cell").querySelector("[data-column]").dataset.column });
  } else if (data.word !== undefined) send("word", { word: data.word, numbers: [numberOf(button)] });
  else if (data.all !== undefined) send("word", { word: data.all, ...chosen() });
  else if (data.giveUp !== undefined) askNote({ numbers: [numberOf(button)] });
  else if (data.giveUpAll !== undefined) askNote(chosen());
  else if (data.dismiss !== undefined) at("dialog").close();
  else if (data.hide !== undefined) { at("work").hidden = true; at("list-h").focus(); }
  else if (data.answer !== undefined) {
    for (const one of document.querySelectorAll("[data-answer]")) one.disabled = true;
    ask("answer", { yes: data.answer === "yes" });
  } else if (button.id === "undo") send("undo", {});
  else if (button.id === "plan") {
    flush();
    inTurn(async () => open(await (await ask("plan")).text()));
  } else if (button.id === "begin") {
    at("dialog").close();
    ask("finish", {}).then((response) => response.json()).then(follow);
  } else if (button.id === "end") {
    flush();
    inTurn(async () => {
      const answer = await (await ask("close", {})).json();
      at("said").textContent = answer.said;
      at("bar").hidden = at("list").hidden = true;
    });
  }
});
mark();
