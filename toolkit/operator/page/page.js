/**
 * The page of `dlq serve`. Everything that comes from a letter is put on the page as text, never as HTML; the policy of
 * the page (see app.ts) would let no script of a payload run either.
 */
const states = ["dead", "replaying", "resolved", "purged"];
const shownBytes = 4_096;
const everyMs = 1_000;
const token = document.querySelector('meta[name="dlq-token"]').content;
const at = (id) => document.getElementById(id);

const chosen = { states: new Set(["dead"]), classes: new Set(), letter: undefined, view: "text" };
const picked = new Set();
let letters = [];
let found = 0;
let seenCounts = "";

async function call(path, body) {
  const answer = await fetch(path, {
    headers: { "x-dlq-token": token, ...(body === undefined ? {} : { "content-type": "application/json" }) },
    ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw new Error((await answer.text()).trim() || `the server answered ${answer.status}`);
  return answer;
}
const json = async (path, body) => (await call(path, body)).json();

/** An element with text and children; text is never read as HTML. */
function element(name, { text, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  if (text !== undefined) made.textContent = printable(text);
  made.append(...children);
  return made;
}

/** Control characters, and those that reverse a line, as their code; line ends and tabs stay. */
function printable(text) {
  return String(text).replaceAll(/[\p{Cc}\p{Cf}]/gu, (one) =>
    one === "\n" || one === "\t" ? one : `\\u{${one.codePointAt(0).toString(16)}}`,
  );
}

const time = (iso) => new Date(iso).toISOString().replace("T", " ").slice(0, 19);
const badge = (state) => element("span", { className: `state ${state}`, text: state });

function query() {
  const form = new FormData(at("filters"));
  const asked = new URLSearchParams();
  for (const state of chosen.states) asked.append("state", state);
  for (const one of chosen.classes) asked.append("class", one);
  if (form.get("topic") !== "") asked.set("topic", form.get("topic"));
  const [side, age] = String(form.get("age")).split("=");
  if (age !== undefined) asked.set(side, age);
  return asked;
}

function toggle(label, count, isOn, onToggle, className) {
  const made = element(
    "button",
    { type: "button", className, onclick: onToggle },
    element("b", { text: count }),
    ` ${label}`,
  );
  made.setAttribute("aria-pressed", String(isOn));
  return made;
}

function drawCounts(counts) {
  const sum = (some) => some.reduce((total, one) => total + one.letters, 0);
  const flip = (set, value) => () => {
    if (!set.delete(value)) set.add(value);
    drawCounts(counts);
    loadList();
  };
  at("states").replaceChildren(
    ...states.map((state) =>
      toggle(
        state,
        sum(counts.filter((one) => one.state === state)),
        chosen.states.has(state),
        flip(chosen.states, state),
        "",
      ),
    ),
  );
  const classes = [...new Set(counts.map((one) => one.class))].sort();
  at("classes").replaceChildren(
    at("classes").firstElementChild,
    ...classes.map((name) => {
      const those = counts.filter(
        (one) => one.class === name && (chosen.states.size === 0 || chosen.states.has(one.state)),
      );
      return toggle(
        printable(name),
        sum(those),
        chosen.classes.has(name),
        flip(chosen.classes, name),
        "chip",
      );
    }),
  );
}

function row(letter) {
  const box = element("input", { type: "checkbox", checked: picked.has(letter.id) });
  box.setAttribute("aria-label", `Letter ${letter.id}`);
  box.onclick = (event) => event.stopPropagation();
  box.onchange = () => {
    if (box.checked) picked.add(letter.id);
    else picked.delete(letter.id);
    drawBar();
  };
  const made = element(
    "tr",
    { onclick: () => openLetter(letter.id), className: letter.id === chosen.letter?.id ? "open" : "" },
    element("td", { className: "pick" }, box),
    element("td", { className: "number", text: letter.id }),
    element("td", {}, badge(letter.state)),
    element("td", { text: letter.class }),
    element("td", { className: "message", text: letter.message }),
    element("td", {
      className: "number",
      text: letter.valueBytes === null ? "none" : letter.valueBytes.toLocaleString("en-US"),
    }),
    element("td", { className: "number", text: letter.replayCount }),
    element("td", { text: time(letter.firstFailedAt) }),
  );
  made.dataset.letter = letter.id;
  return made;
}

function drawBar() {
  const count = picked.size;
  const more = found > letters.length ? `, the oldest ${letters.length} are shown` : "";
  at("found").textContent =
    `${found.toLocaleString("en-US")} letters${more}${count > 0 ? ` · ${count} picked` : ""}`;
  at("replay").disabled = at("purge").disabled = count === 0;
  at("replay").textContent = count === 0 ? "Replay" : `Replay ${count}`;
  at("purge").textContent = count === 0 ? "Purge" : `Purge ${count}`;
  at("pick-all").checked = count > 0 && count === letters.length;
}

async function loadList() {
  const list = await json(`/api/letters?${query()}`);
  letters = list.letters;
  found = list.total;
  for (const id of [...picked]) if (!letters.some((one) => one.id === id)) picked.delete(id);
  at("rows").replaceChildren(...letters.map(row));
  at("none").hidden = letters.length > 0;
  drawBar();
}

async function openLetter(id) {
  const letter = await json(`/api/letters/${id}`);
  const bytesOf = async (version) =>
    new Uint8Array(await (await call(`/api/letters/${id}/${version}`)).arrayBuffer());
  chosen.letter = {
    ...letter,
    value: letter.valueBytes === null ? undefined : await bytesOf("value"),
    edited: letter.editedBytes === null ? undefined : await bytesOf("edited"),
  };
  chosen.view = isText(chosen.letter.value) ? "text" : "hex";
  drawLetter();
  at("rows").replaceChildren(...letters.map(row));
}

function drawLetter() {
  const { letter } = chosen;
  at("letter").hidden = letter === undefined;
  if (letter === undefined) return;
  at("letter-title").replaceChildren(`Letter ${letter.id} `, badge(letter.state));
  const facts = [
    ["Class", letter.class],
    ["What happened", letter.message],
    ["From", `${letter.topic}, partition ${letter.partition}, offset ${letter.offset}`],
    ["Key", letter.key ?? "none"],
    ["Failed", `${time(letter.firstFailedAt)}, last ${time(letter.lastFailedAt)}, at ${letter.worker}`],
    ["Replays", letter.replayCount],
    ["Dedupe key", letter.dedupeKey],
    ...letter.headers.map(([name, value]) => [`Header ${name}`, value ?? "no value"]),
  ];
  at("facts").replaceChildren(
    ...facts.flatMap(([name, value]) => [element("dt", { text: name }), element("dd", { text: value })]),
  );
  at("attempts").replaceChildren(
    ...letter.attempts.map((one) =>
      element("li", { text: `${one.at.replace("T", " ").slice(0, 23)}  ${one.error}` }),
    ),
  );
  at("stack").textContent = printable(letter.stack ?? "none");
  at("edit").hidden = letter.state !== "dead";
  at("edit-value").value = isText(letter.edited ?? letter.value) ? decode(letter.edited ?? letter.value) : "";
  drawBytes();
}

function drawBytes() {
  const { letter, view } = chosen;
  const bytes = view === "edited" ? letter.edited : letter.value;
  for (const tab of document.querySelectorAll("[role=tab]")) {
    tab.setAttribute("aria-selected", String(tab.dataset.view === view));
    tab.disabled = tab.dataset.view === "edited" && letter.edited === undefined;
  }
  at("save").disabled = bytes === undefined;
  const hex = view === "hex" || (view === "edited" && !isText(bytes));
  at("bytes").className = hex ? "hex" : "";
  if (bytes === undefined) {
    at("bytes").textContent =
      letter.state === "purged" ? "The bytes were thrown away." : "The message has no value.";
    at("bytes-note").textContent = "";
    return;
  }
  const some = bytes.subarray(0, shownBytes);
  const cut = bytes.length > shownBytes ? `, the first ${shownBytes.toLocaleString("en-US")} shown` : "";
  const not = view === "text" && !isText(bytes) ? ", not UTF-8: see hex" : "";
  at("bytes-note").textContent = `${bytes.length.toLocaleString("en-US")} bytes${cut}${not}`;
  at("bytes").textContent = hex ? hexDump(some) : printable(new TextDecoder().decode(some));
}

/** 16 bytes a line: where, in hex, and what of them can be read. */
function hexDump(bytes) {
  const lines = [];
  for (let from = 0; from < bytes.length; from += 16) {
    const some = [...bytes.subarray(from, from + 16)];
    const hex = some.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const text = some.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·")).join("");
    lines.push(`${from.toString(16).padStart(6, "0")}  ${hex.padEnd(47)}  ${text}`);
  }
  return lines.join("\n");
}

function isText(bytes) {
  try {
    return bytes !== undefined && decode(bytes) !== undefined;
  } catch {
    return false;
  }
}
const decode = (bytes) => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);

/** Asks who and why; resolves with undefined when the answer is no. */
function responsible(title, what, go, className) {
  const dialog = at("confirm");
  at("confirm-title").textContent = title;
  at("confirm-what").textContent = what;
  Object.assign(at("go"), { textContent: go, className });
  dialog.returnValue = "";
  // Who it is stays the same; each act has a reason of its own.
  dialog.querySelector("[name=reason]").value = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => {
      const form = new FormData(dialog.querySelector("form"));
      resolve(
        dialog.returnValue === "go" ? { actor: form.get("actor"), reason: form.get("reason") } : undefined,
      );
    };
  });
}

function say(text, isBad = false) {
  const notice = at("notice");
  notice.textContent = printable(text);
  notice.className = isBad ? "bad" : "";
  notice.hidden = false;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => {
    notice.hidden = true;
  }, 8_000);
}

/** What goes wrong is said, and never swallowed. */
const trying = (work) => async (event) => {
  event?.preventDefault?.();
  try {
    await work(event);
  } catch (error) {
    say(error.message, true);
  }
};

async function refresh() {
  await loadList();
  if (chosen.letter !== undefined) await openLetter(chosen.letter.id);
  if (!at("audit").hidden) await loadAudit();
}

async function loadAudit() {
  const { entries } = await json("/api/audit");
  at("entries").replaceChildren(
    ...entries.map((one) =>
      element(
        "tr",
        {},
        element("td", { text: time(one.at) }),
        element("td", { text: one.operation }),
        element("td", { text: one.actor }),
        element("td", { className: "message", text: one.reason }),
        element("td", {
          text: one.letters.length > 8 ? `${one.letters.length} letters` : one.letters.join(", "),
        }),
      ),
    ),
  );
}

at("replay").onclick = trying(async () => {
  const ids = [...picked];
  const who = await responsible(
    `Replay ${ids.length} letters`,
    "They go back to the topic they came from. Each has one effect at most.",
    "Replay",
    "primary",
  );
  if (who === undefined) return;
  const { replayed, resumed, capped, refused } = await json("/api/replay", { ids, ...who });
  say(
    `Replayed ${replayed.length}, resumed ${resumed.length}, left ${capped.length} that were replayed too often, ${refused.length} refused by the broker.`,
  );
  picked.clear();
  await refresh();
});

at("purge").onclick = trying(async () => {
  const ids = [...picked];
  const who = await responsible(
    `Purge ${ids.length} letters`,
    "Their bytes are thrown away for good. What they were, and who did it and why, stays.",
    "Purge",
    "danger",
  );
  if (who === undefined) return;
  const { purged } = await json("/api/purge", { ids, ...who });
  say(`Purged ${purged.length}.`);
  picked.clear();
  await refresh();
});

at("edit").onsubmit = trying(async () => {
  const { id } = chosen.letter;
  const who = await responsible(
    `Edit letter ${id}`,
    "The next replay sends the new bytes. The original ones are kept.",
    "Keep the edit",
    "primary",
  );
  if (who === undefined) return;
  await json("/api/edit", { id, value: at("edit-value").value, ...who });
  say(`Letter ${id} will be replayed with the new bytes.`);
  await refresh();
});

at("save").onclick = () => {
  const bytes = chosen.view === "edited" ? chosen.letter.edited : chosen.letter.value;
  const link = element("a", {
    href: URL.createObjectURL(new Blob([bytes])),
    download: `letter-${chosen.letter.id}.bin`,
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
};

for (const tab of document.querySelectorAll("[role=tab]")) {
  tab.onclick = () => {
    chosen.view = tab.dataset.view;
    drawBytes();
  };
}
at("close").onclick = () => {
  chosen.letter = undefined;
  drawLetter();
  at("rows").replaceChildren(...letters.map(row));
};
at("cancel").onclick = () => at("confirm").close("");
at("pick-all").onchange = () => {
  for (const { id } of letters) {
    if (at("pick-all").checked) picked.add(id);
    else picked.delete(id);
  }
  at("rows").replaceChildren(...letters.map(row));
  drawBar();
};
at("filters").oninput = trying(loadList);
at("filters").onsubmit = (event) => event.preventDefault();
at("filters").onreset = () => {
  chosen.states = new Set(["dead"]);
  chosen.classes = new Set();
  seenCounts = "";
  setTimeout(trying(tick));
};
at("show-audit").onclick = trying(async () => {
  const isShown = at("audit").hidden;
  at("audit").hidden = !isShown;
  at("list").hidden = isShown;
  at("letter").hidden = isShown || chosen.letter === undefined;
  at("show-audit").setAttribute("aria-pressed", String(isShown));
  if (isShown) await loadAudit();
});

/** Counts every second; the list again only when they have changed. */
async function tick() {
  const { counts, at: now } = await json("/api/counts");
  at("live").textContent = `live, ${time(now).slice(11)} UTC`;
  at("live").className = "";
  const text = JSON.stringify(counts);
  if (text === seenCounts) return;
  seenCounts = text;
  drawCounts(counts);
  await loadList();
}

async function follow() {
  try {
    await tick();
  } catch (error) {
    at("live").textContent = printable(error.message);
    at("live").className = "lost";
  }
  setTimeout(follow, everyMs);
}
follow();
